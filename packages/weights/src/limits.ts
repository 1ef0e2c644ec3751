import { WeightsFileError } from './errors.js';

/**
 * What a weight file may ask of this process. Twice the largest of the family (B7 with its optimiser as float32 is 0.8 GiB), far below
 * what would harm a worker.
 */
export const WEIGHTS_LIMITS = {
  fileBytes: 2 ** 31 - 1,
  /** Of a JSON header or a pickle. */
  headerBytes: 16 * 2 ** 20,
  tensors: 20_000,
  rank: 8,
  /** Floats of all tensors together, so that many views of one small storage cannot become much memory. */
  elements: 2 ** 28,
  zipEntries: 20_000,
  /** Inflated, all entries together. */
  zipBytes: 2 ** 31 - 1,
  /** Values that a pickle makes. */
  pickleValues: 2_000_000,
} as const;

/** @throws WeightsFileError `WEIGHTS_LIMIT` when `value` is above the named limit */
export function checkLimit(limit: keyof typeof WEIGHTS_LIMITS, value: number, what: string): void {
  if (value > WEIGHTS_LIMITS[limit]) {
    throw new WeightsFileError('WEIGHTS_LIMIT', { value: `${what}: ${value}`, rule: `at most ${WEIGHTS_LIMITS[limit]} are read` });
  }
}
