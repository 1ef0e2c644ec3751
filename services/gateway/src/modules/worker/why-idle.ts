import type { WorkerRecord } from '@roentgen/database';

/** Why a worker does nothing, in one sentence; null while it works. */
export function whyIdle(worker: WorkerRecord): string | null {
  if (!worker.online) return `It has not been heard since ${worker.lastSeenAt}: its process has ended, or it cannot reach the broker.`;
  if (worker.state === 'STOPPING') return 'It is shutting down.';
  if (worker.state === 'STARTING') return 'It is starting.';
  if (worker.state !== 'IDLE' || worker.attemptRunning) return null;
  if (worker.drainedAt !== null) return `It was drained at ${worker.drainedAt}. End its process, or give it work again with readmitWorker.`;
  if (worker.ineligibleReason !== null) return `It takes no work: ${worker.ineligibleReason}`;
  if (worker.setAsideUntil !== null) {
    return `It is set aside until ${worker.setAsideUntil}: ${worker.setAsideReason ?? 'runs failed on it'} Once it is mended, readmitWorker gives it work before that.`;
  }
  if (worker.queuedRuns > 0) {
    return 'Runs are queued, and it has been offered none yet: it refused one a moment ago, or no coordinator is running.';
  }
  return 'There is nothing to do.';
}
