import { assertNever, type RunId, type WorkerId } from '@roentgen/domain';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import type { HeldAttempt } from '@roentgen/protocol';
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
  | { readonly kind: 'STOP_ATTEMPT'; readonly workerId: WorkerId; readonly attempt: HeldAttempt; readonly reason: 'CANCEL' | 'SUPERSEDED' }
  | { readonly kind: 'REQUEUE'; readonly run: LeasedRun }
  | { readonly kind: 'CANCEL'; readonly run: LeasedRun }
  | { readonly kind: 'GIVE_UP'; readonly run: LeasedRun };

/** What to do now for each owned run, oldest first. No clock, no network, no database: what it sees is what it is given. */
export function planRuns(view: SchedulingView): RunAction[] {
  const attempts = new Map(view.attempts.map((attempt) => [attempt.runId, attempt]));
  const taken = new Set(view.attempts.map((attempt) => attempt.workerId));
  const idle = view.workers.filter((worker) => isIdle(worker, view.nowMs) && !taken.has(worker.workerId));
  const actions = view.runs.flatMap((run) => {
    const attempt = attempts.get(run.runId);
    if (attempt !== undefined) return planHeld(view, run, attempt);
    return planFree(view, run, idle);
  });
  return [...actions, ...planSuperseded(view, attempts)];
}

function isIdle(worker: KnownWorker, nowMs: number): boolean {
  return worker.state === 'IDLE' && worker.holding === null && worker.restsUntilMs <= nowMs;
}

/** Workers that hold an attempt at an owned run that is not the run's: they never heard that it was taken from them. */
function planSuperseded(view: SchedulingView, attempts: ReadonlyMap<RunId, LiveAttempt>): RunAction[] {
  const runs = new Map(view.runs.map((run) => [run.runId, run]));
  return view.workers.flatMap(({ workerId, holding }): RunAction[] => {
    const run = holding === null ? undefined : runs.get(holding.runId);
    if (holding === null || run === undefined || attempts.get(run.runId)?.attemptId === holding.attemptId) return [];
    // One of a later generation was given out by whoever owns the run now: we have lost it without knowing yet.
    if (holding.generation > run.generation) return [];
    return [{ kind: 'STOP_ATTEMPT', workerId, attempt: holding, reason: 'SUPERSEDED' }];
  });
}

/** A run that somebody works on, or should. */
function planHeld(view: SchedulingView, run: LeasedRun, attempt: LiveAttempt): RunAction[] {
  const silence = lossOf(view, attempt);
  if (silence !== null) return [{ kind: 'LOSE_ATTEMPT', run, attempt, reason: silence }];
  if (run.status === 'CANCELLING') return [{ kind: 'STOP_ATTEMPT', workerId: attempt.workerId, attempt, reason: 'CANCEL' }];
  return [];
}

/** Why the attempt's worker counts as lost, or null. A worker that is alive but holds something else has forgotten it: it was restarted. */
function lossOf(view: SchedulingView, attempt: LiveAttempt): string | null {
  const startedMs = view.nowMs - attempt.ageMs;
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
