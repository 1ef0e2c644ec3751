/**
 * Why an attempt ended before its run did, and what follows from it: the one table. Workers and coordinators report codes; a code belongs to one cause.
 */

/**
 * What a run whose attempt ended gets.
 * - `free`: another try, however often: nobody failed.
 * - `counted`: another try; those in a row that got the run no further are counted, up to the limit.
 * - `once`: like `counted`, but the second of this cause in a row fails the run.
 * - `never`: none: it would end the same way.
 *
 * An attempt that got the run further is never held against it, but for `never`, and where two workers were lost at the same step and none passed it since.
 */
export type RetryRule = 'free' | 'counted' | 'once' | 'never';

interface CauseRule {
  readonly retry: RetryRule;
  /** Whom a series of them speaks against; see `judgeWorker`. */
  readonly blames: 'worker' | 'run' | 'nobody';
  /** Codes of workers and coordinators that mean it. */
  readonly codes: readonly string[];
  /** Least pause before the next try, ms; 0: none. */
  readonly pauseMs: number;
}

const CAUSES = {
  /** Its heartbeats stopped, it came back without the attempt, or it is heard and brings the attempt no further. */
  WORKER_LOST: { retry: 'counted', blames: 'worker', codes: ['WORKER_LOST', 'WORKER_STALLED'], pauseMs: 0 },
  /** It was asked to leave: shut down or drained. */
  WORKER_DRAINED: { retry: 'free', blames: 'nobody', codes: ['WORKER_STOPPING'], pauseMs: 0 },
  /** TensorFlow took its process with it. */
  COMPUTE_PROCESS_DIED: { retry: 'counted', blames: 'worker', codes: ['COMPUTE_PROCESS_DIED'], pauseMs: 0 },
  /** The device or TensorFlow does not work on that worker. */
  DEVICE_ERROR: {
    retry: 'once',
    blames: 'worker',
    codes: ['DEVICE_UNAVAILABLE', 'SESSION_FAILED', 'TENSORFLOW_UNAVAILABLE', 'LIBTENSORFLOW_MISSING'],
    pauseMs: 0,
  },
  /** The object store was away, or full, for longer than a worker waits. */
  STORE_AWAY: {
    retry: 'free',
    blames: 'nobody',
    codes: ['UNAVAILABLE', 'STORE_FULL', 'DATABASE_FULL', 'STORE_ERROR', 'STORE_ACCESS_DENIED'],
    pauseMs: 5_000,
  },
  /** The database has forgotten facts that it had confirmed: it was restored, or failed over to a copy that lagged behind. */
  FACTS_LOST: { retry: 'free', blames: 'nobody', codes: ['FACTS_LOST'], pauseMs: 0 },
  OUT_OF_MEMORY: { retry: 'once', blames: 'run', codes: ['OUT_OF_MEMORY'], pauseMs: 0 },
  NON_FINITE: { retry: 'never', blames: 'run', codes: ['NON_FINITE_LOSS', 'NON_FINITE_PREDICTION'], pauseMs: 0 },
  CONFIG_ERROR: {
    retry: 'never',
    blames: 'run',
    codes: [
      'CONFIG_ERROR',
      'INVALID_RECIPE',
      'INVALID_INPUT',
      'INVALID_BATCH',
      'INVALID_CLASS_COUNT',
      'SHAPE_MISMATCH',
      'INVALID_GRAPH',
      'INVALID_FEED',
    ],
    pauseMs: 0,
  },
  /** Images, manifest or checkpoint are missing or not what their hashes say. */
  DATA_ERROR: {
    retry: 'never',
    blames: 'run',
    codes: [
      'OBJECT_MISSING',
      'OBJECT_NOT_FOUND',
      'OBJECT_CORRUPT',
      'MANIFEST_CORRUPT',
      'IMAGE_DECODE',
      'INVALID_CHECKPOINT',
      'INVALID_SAFETENSORS',
    ],
    pauseMs: 0,
  },
  /** Nobody foresaw it: a defect of ours, or of the machine. */
  INTERNAL: { retry: 'once', blames: 'worker', codes: ['INTERNAL', 'EVENTS_REFUSED'], pauseMs: 0 },
} as const satisfies Record<string, CauseRule>;

export type FailureCause = keyof typeof CAUSES;
export const FAILURE_CAUSES = Object.keys(CAUSES) as readonly FailureCause[];

/** Causes that take the worker with them: two workers at the same step are evidence against the run. */
export const FATAL_TO_WORKER: ReadonlySet<FailureCause> = new Set(['WORKER_LOST', 'COMPUTE_PROCESS_DIED']);

/** Causes that neither the run nor the worker can do anything about. */
export const FREE_CAUSES: readonly FailureCause[] = FAILURE_CAUSES.filter((cause) => CAUSES[cause].retry === 'free');

export function ruleOf(cause: FailureCause): CauseRule {
  return CAUSES[cause];
}

/** The cause that a code means; INTERNAL for one that is in no row. */
export function causeOf(code: string): FailureCause {
  return FAILURE_CAUSES.find((cause) => ruleOf(cause).codes.includes(code)) ?? 'INTERNAL';
}
