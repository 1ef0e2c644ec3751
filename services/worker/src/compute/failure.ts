import { RoentgenError, type RunFailure } from '@roentgen/domain';
import type { SavedCheckpointRef } from '@roentgen/training';

/** Where a run stood when it failed. */
export interface Progress {
  readonly epoch: number | null;
  readonly step: number;
  readonly lastCheckpoint: SavedCheckpointRef | null;
}

/** The run, its recipe or its dataset are wrong: another try ends the same way. */
const CONFIG_CODES = new Set([
  'INVALID_RECIPE',
  'INVALID_INPUT',
  'INVALID_BATCH',
  'SHAPE_MISMATCH',
  'INVALID_GRAPH',
  'INVALID_FEED',
  'WEIGHTS_MISMATCH',
  'WEIGHTS_MALFORMED',
]);

/** TensorFlow says it in its own ways, V8 in others; oneDNN by the number of its status, whatever text goes with it. */
const OUT_OF_MEMORY =
  /exception:\s*Status: 1,|RESOURCE_EXHAUSTED|\bOOM\b|out of memory|Array buffer allocation failed|could not allocate memory|bad_alloc|heap limit/i;

/** Whether a message, or what a process wrote before its end, speaks of memory that ran out. */
export const isOutOfMemory = (text: string): boolean => OUT_OF_MEMORY.test(text);

/** What an error means for the run: a code that the coordinator has a rule for, and where the run stood. */
export function failureOf(error: Error, progress: Progress): RunFailure {
  const code = codeOf(error);
  const own = error instanceof RoentgenError ? error.details : {};
  const cause = error instanceof RoentgenError && error.code !== code ? { cause: error.code } : {};
  return { code, message: error.message, details: { ...progress, ...own, ...cause } };
}

function codeOf(error: Error): string {
  if (isOutOfMemory(error.message)) return 'OUT_OF_MEMORY';
  if (!(error instanceof RoentgenError)) return 'INTERNAL';
  return CONFIG_CODES.has(error.code) ? 'CONFIG_ERROR' : error.code;
}

/** The worker goes away; the run goes on elsewhere from its last checkpoint. */
export function workerStopping(progress: Progress): RunFailure {
  const from = progress.lastCheckpoint
    ? `from checkpoint ${progress.lastCheckpoint.checkpointId} (step ${progress.lastCheckpoint.step})`
    : 'from its beginning';
  return { code: 'WORKER_STOPPING', message: `the worker is shutting down; the run can go on ${from}.`, details: { ...progress } };
}
