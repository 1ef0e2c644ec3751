import type { WorkerRecord } from '@roentgen/database';
import { assertNever, obstacleOf } from '@roentgen/domain';

/** Why a worker does nothing, in one sentence; null while it works. Decided as the scheduler does. */
export function whyIdle(worker: WorkerRecord): string | null {
  if (!worker.online) return `It has not been heard since ${worker.lastSeenAt}: its process has ended, or it cannot reach the broker.`;
  const obstacle = obstacleOf({
    state: worker.state,
    hasAttempt: worker.attemptRunning,
    ineligibleReason: worker.ineligibleReason,
    drained: worker.drainedAt !== null,
    setAside: worker.setAsideUntil !== null,
    // Only its coordinator knows; see below.
    rests: false,
  });
  if (obstacle === null) {
    return worker.queuedRuns > 0
      ? 'Runs are queued, and it has been offered none yet: they do not fit into it, it refused one a moment ago, or no coordinator is running (whyWaiting of a run says).'
      : 'There is nothing to do.';
  }
  switch (obstacle.code) {
    case 'BUSY':
      return null;
    case 'DRAINED':
      return `It was drained at ${worker.drainedAt ?? '?'}. End its process, or give it work again with readmitWorker.`;
    case 'SET_ASIDE':
      return `It is set aside until ${worker.setAsideUntil ?? '?'}: ${worker.setAsideReason ?? 'runs failed on it'} Once it is mended, readmitWorker gives it work before that.`;
    case 'STOPPING':
    case 'STARTING':
    case 'INELIGIBLE':
    case 'REFUSED':
    case 'TAKEN':
    case 'TOO_SMALL':
      return `It ${obstacle.message}`;
    default:
      return assertNever(obstacle.code);
  }
}
