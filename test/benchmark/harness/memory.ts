import { InvalidInputError } from '@roentgen/domain';
import type { ModelCase } from './arguments.js';

/** One network at one resolution with two batch sizes. */
export interface CasePair {
  readonly smaller: ModelCase;
  readonly larger: ModelCase;
}

export interface Peak {
  readonly images: number;
  readonly peakBytes: number;
}

/** The straight line through two peaks. */
export interface Peaks {
  readonly peaks: readonly [Peak, Peak];
  /** Without any image: runtime, weights, gradient, optimiser. */
  readonly baseBytes: number;
  readonly bytesPerImage: number;
}

export interface MemoryReport {
  readonly case: string;
  readonly unit: 'bytes';
  readonly kept: Peaks;
  readonly recomputed: Peaks;
  readonly threads: number;
}

/** @throws InvalidInputError where a network has not exactly two batch sizes */
export function pairsOf(cases: readonly ModelCase[]): CasePair[] {
  const nameOf = ({ variant, imageSizePx }: ModelCase) => `${variant.toLowerCase()}-${imageSizePx}`;
  return [...new Set(cases.map(nameOf))].map((name) => {
    const group = cases.filter((one) => nameOf(one) === name);
    const [smaller, larger, ...others] = [...group].sort((a, b) => a.batchSize - b.batchSize);
    if (smaller && larger && others.length === 0 && smaller.batchSize < larger.batchSize) return { smaller, larger };
    const message = `--cases has ${group.map((one) => one.name).join(', ')} of ${name}: memory per image needs exactly two batch sizes.`;
    throw new InvalidInputError(message, [{ field: 'cases', message }]);
  });
}

export function memoryLine(smaller: Peak, larger: Peak): Peaks {
  const bytesPerImage = (larger.peakBytes - smaller.peakBytes) / (larger.images - smaller.images);
  return { peaks: [smaller, larger], bytesPerImage, baseBytes: smaller.peakBytes - smaller.images * bytesPerImage };
}

/** A row of the table in docs/memory.md, in MB. */
export function formatMemory({ case: name, kept, recomputed }: MemoryReport): string {
  const mb = (bytes: number) => String(Math.round(bytes / 1e6));
  const cells = [kept, recomputed].flatMap((line) => [
    line.peaks.map(({ images, peakBytes }) => `${mb(peakBytes)} (${images})`).join(', '),
    mb(line.baseBytes),
    mb(line.bytesPerImage),
  ]);
  const ratio = recomputed.peaks[1].peakBytes / kept.peaks[1].peakBytes;
  return `| ${[name.replace('memory-', ''), ...cells, ratio.toFixed(2)].join(' | ')} |`;
}
