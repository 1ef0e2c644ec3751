import type { TrainingRunRecord } from '@roentgen/database';
import { HELD_WAIT_CODES, assertNever, type RunWait } from '@roentgen/domain';

/** Why a run does not go on, as users read it. */
export interface WhyWaiting extends RunWait {
  /** When it goes on by itself, where that is known. */
  readonly until: string | null;
}

type WaitingRun = Pick<TrainingRunRecord, 'id' | 'status' | 'statusMessage' | 'retryAt' | 'isOwned' | 'wait'>;

/**
 * Why a run waits; null for one that is worked on and goes on, or has ended. What the scheduler decided is what it stored with the run: here only what the
 * rows themselves decide is added, such as that there is no scheduler.
 * @param worker name of the worker that has not left it yet
 */
export function whyWaiting(run: WaitingRun, worker: string | null): WhyWaiting | null {
  switch (run.status) {
    case 'QUEUED':
      return whyQueued(run);
    case 'PAUSED':
      return because('PAUSED', `${run.statusMessage ?? 'It is paused.'} resumeTrainingRun queues it again.`);
    case 'PAUSING':
    case 'CANCELLING': {
      const what = run.status === 'PAUSING' ? 'pause' : 'cancel';
      const leaving = worker === null ? 'Its worker' : `Worker ${worker}`;
      return because(
        'WORKER_LEAVING',
        `${run.statusMessage ?? `It is to ${what}.`} ${leaving} ends its step and saves a checkpoint first; with force it is not waited for.`,
      );
    }
    case 'PREPARING':
    case 'RUNNING':
      return run.wait !== null && isHeldWait(run.wait) ? { ...run.wait, until: null } : null;
    case 'SUCCEEDED':
    case 'FAILED':
    case 'CANCELLED':
      return null;
    default:
      return assertNever(run.status);
  }
}

/** What its worker says; what kept it from workers before is over. */
const isHeldWait = ({ code }: RunWait): boolean => HELD_WAIT_CODES.some((held) => held === code);

function whyQueued({ statusMessage, retryAt, isOwned, wait }: WaitingRun): WhyWaiting {
  if (retryAt !== null)
    return because('BACKING_OFF', `${statusMessage ?? 'Its last attempt failed.'} It is tried again at ${retryAt}.`, retryAt);
  if (!isOwned) {
    const message =
      'No coordinator has taken it. One does within seconds; if none does, none is running or reaches Postgres, or each has as many runs as it takes (COORDINATOR_MAX_RUNS).';
    return because('NO_COORDINATOR', message);
  }
  if (wait === null) return because('NOT_LOOKED_AT', 'Its coordinator looks for a worker.');
  return { ...wait, until: null };
}

const because = (code: RunWait['code'], message: string, until: string | null = null): WhyWaiting => ({
  code,
  message,
  until,
  workers: [],
});
