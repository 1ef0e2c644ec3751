/** What becomes of a run whose attempt failed with this cause. */
export type FailureRule = 'requeue' | 'fail';

/** Causes that another try may not meet again; whatever is not listed here would fail again in the same way. */
const RETRYABLE_CODES: ReadonlySet<string> = new Set([
  'WORKER_STOPPING',
  'WORKER_LOST',
  'UNAVAILABLE',
  'COMPUTE_PROCESS_DIED',
  'OUT_OF_MEMORY',
]);

/** `tries` counts the one that just failed. A retryable cause stops being one when the run has used its tries up. */
export function ruleFor(code: string, tries: number, maxAttempts: number): FailureRule {
  // A worker that was asked to leave has not failed: the run is not charged for it.
  if (code === 'WORKER_STOPPING') return 'requeue';
  return RETRYABLE_CODES.has(code) && tries < maxAttempts ? 'requeue' : 'fail';
}
