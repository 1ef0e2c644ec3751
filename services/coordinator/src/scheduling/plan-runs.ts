import { assertNever } from '@roentgen/domain';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import type { KnownWorker } from './worker-registry.js';

/** What the scheduler knows at one moment. */
export interface SchedulingView {
  readonly nowMs: number;
  /** Since when heartbeats have been listened to, ms. */
  readonly listeningSinceMs: number;
  readonly workerLostMs: number;
  readonly maxAttempts: number;
  readonly runs: readonly LeasedRun[];
  readonly attempts: readonly LiveAttempt[];
  readonly workers: readonly KnownWorker[];
}

export type RunAction =
  | { readonly kind: 'OFFER'; readonly run: LeasedRun; readonly worker: KnownWorker }
  | { readonly kind: 'LOSE_ATTEMPT'; readonly run: LeasedRun; readonly attempt: LiveAttempt; readonly reason: string }
  | { readonly kind: 'STOP_ATTEMPT'; readonly attempt: LiveAttempt }
  | { readonly kind: 'REQUEUE'; readonly run: LeasedRun }
  | { readonly kind: 'CANCEL'; readonly run: LeasedRun }
  | { readonly kind: 'GIVE_UP'; readonly run: LeasedRun };

/** What to do now for each owned run, oldest first. No clock, no network, no database: what it sees is what it is given. */
export function planRuns(view: SchedulingView): RunAction[] {
  const attempts = new Map(view.attempts.map((attempt) => [attempt.runId, attempt]));
  const taken = new Set(view.attempts.map((attempt) => attempt.workerId));
  const idle = view.workers.filter((worker) => worker.state === 'IDLE' && worker.holding === null && !taken.has(worker.workerId));
  return view.runs.flatMap((run) => {
    const attempt = attempts.get(run.runId);
    if (attempt !== undefined) return planHeld(view, run, attempt);
    return planFree(view, run, idle);
  });
}

/** A run that somebody works on, or should. */
function planHeld(view: SchedulingView, run: LeasedRun, attempt: LiveAttempt): RunAction[] {
  const silence = lossOf(view, attempt);
  if (silence !== null) return [{ kind: 'LOSE_ATTEMPT', run, attempt, reason: silence }];
  if (run.status === 'CANCELLING') return [{ kind: 'STOP_ATTEMPT', attempt }];
  return [];
}

/** Why the attempt's worker counts as lost, or null. A worker that is alive but holds something else has forgotten it: it was restarted. */
function lossOf(view: SchedulingView, attempt: LiveAttempt): string | null {
  const startedMs = Date.parse(attempt.startedAt);
  const worker = view.workers.find((candidate) => candidate.workerId === attempt.workerId);
  if (worker === undefined) {
    const heardFrom = Math.max(startedMs, view.listeningSinceMs);
    return view.nowMs - heardFrom > view.workerLostMs
      ? `worker ${attempt.workerName} has been silent for more than ${view.workerLostMs} ms`
      : null;
  }
  // The offer and the next heartbeat cross: only a heartbeat well after the offer tells what became of it.
  const holdsIt = worker.holding?.attemptId === attempt.attemptId;
  return !holdsIt && worker.lastSeenMs - startedMs > view.workerLostMs
    ? `worker ${attempt.workerName} no longer holds the attempt: it was restarted`
    : null;
}

/** A run that nobody works on. Takes workers out of `idle` as it offers. */
function planFree(view: SchedulingView, run: LeasedRun, idle: KnownWorker[]): RunAction[] {
  switch (run.status) {
    case 'CANCELLING':
      return [{ kind: 'CANCEL', run }];
    case 'PREPARING':
    case 'RUNNING':
    case 'WAITING':
    case 'PAUSING':
      return [{ kind: 'REQUEUE', run }];
    case 'QUEUED': {
      if (run.attempts >= view.maxAttempts) return [{ kind: 'GIVE_UP', run }];
      const worker = idle.shift();
      return worker === undefined ? [] : [{ kind: 'OFFER', run, worker }];
    }
    case 'PAUSED':
    case 'SUCCEEDED':
    case 'FAILED':
    case 'CANCELLED':
      return [];
    default:
      return assertNever(run.status);
  }
}
