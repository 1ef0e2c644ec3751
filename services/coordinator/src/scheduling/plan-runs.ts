import {
  RequestedRecipeSchema,
  assertNever,
  microBatchForAll,
  obstacleOf,
  tooLittleMemory,
  type LossCode,
  type RunId,
  type RunWait,
  type WorkerId,
  type WorkerMemory,
  type WorkerObstacle,
} from '@roentgen/domain';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import type { AttemptStop, HeldAttempt } from '@roentgen/protocol';
import type { z } from 'zod';
import { tooLargeWait, tooSmall, waitOf, type Obstacles } from './explain-wait.js';
import type { KnownWorker } from './worker-registry.js';

/** What the scheduler knows at one moment. */
export interface SchedulingView {
  readonly nowMs: number;
  /** Since when heartbeats have been listened to, ms. */
  readonly listeningSinceMs: number;
  readonly workerLostMs: number;
  /** How long a worker that is heard may hold an attempt without any progress. */
  readonly stalledMs: number;
  readonly runs: readonly LeasedRun[];
  readonly attempts: readonly LiveAttempt[];
  readonly workers: readonly KnownWorker[];
  /** Names of workers that get no attempts now: they failed too often. */
  readonly setAside: ReadonlySet<string>;
  /** Workers that get no attempts, and leave the one that they have. */
  readonly drained: ReadonlySet<WorkerId>;
  /** Without it nobody is heard. */
  readonly brokerAnswers: boolean;
}

/** Why an attempt's worker counts as lost. */
export interface Loss {
  readonly code: LossCode;
  readonly reason: string;
}

type StopReason = z.infer<typeof AttemptStop.schema>['reason'];

export type RunAction =
  /** With a micro-batch where the run waits for one to be settled. */
  | { readonly kind: 'OFFER'; readonly run: LeasedRun; readonly worker: KnownWorker; readonly microBatchSize: number | null }
  /** Null: it does not wait any more. */
  | { readonly kind: 'EXPLAIN_WAIT'; readonly run: LeasedRun; readonly wait: RunWait | null }
  | { readonly kind: 'LOSE_ATTEMPT'; readonly run: LeasedRun; readonly attempt: LiveAttempt; readonly loss: Loss }
  | { readonly kind: 'STOP_ATTEMPT'; readonly workerId: WorkerId; readonly attempt: HeldAttempt; readonly reason: StopReason }
  /** Nobody works on it, and its state says that somebody does: it is queued again, or what was asked for comes true. */
  | { readonly kind: 'SETTLE'; readonly run: LeasedRun };

/** What to do now for each owned run, oldest first. No clock, no network, no database: what it sees is what it is given. */
export function planRuns(view: SchedulingView): RunAction[] {
  const attempts = new Map(view.attempts.map((attempt) => [attempt.runId, attempt]));
  const taken = new Set(view.attempts.map((attempt) => attempt.workerId));
  const pool = poolOf(view, taken);
  const actions = view.runs.flatMap((run) => {
    const attempt = attempts.get(run.runId);
    if (attempt !== undefined) return planHeld(view, run, attempt);
    return planFree(view, run, pool);
  });
  return [...actions, ...planSuperseded(view, attempts)];
}

/** Who can be given a run, and what keeps the others from it. */
interface Pool {
  /** Without those that were given one in this look. */
  readonly idle: KnownWorker[];
  readonly obstacles: Map<WorkerId, WorkerObstacle>;
}

function poolOf(view: SchedulingView, taken: ReadonlySet<WorkerId>): Pool {
  const obstacles = new Map<WorkerId, WorkerObstacle>();
  for (const worker of view.workers) {
    const obstacle = obstacleOf({
      state: worker.state,
      hasAttempt: worker.holding !== null || taken.has(worker.workerId),
      ineligibleReason: worker.runtime?.ineligibleReason ?? null,
      drained: view.drained.has(worker.workerId),
      setAside: view.setAside.has(worker.name),
      rests: worker.restsUntilMs > view.nowMs,
    });
    if (obstacle !== null) obstacles.set(worker.workerId, obstacle);
  }
  return { idle: view.workers.filter((worker) => !obstacles.has(worker.workerId)), obstacles };
}

const isEligible = ({ runtime }: KnownWorker): boolean => (runtime?.ineligibleReason ?? null) === null;
const memoryOf = ({ runtime }: KnownWorker): WorkerMemory => runtime ?? { memoryBudgetBytes: null, memoryScale: 1 };

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
  const loss = lossOf(view, attempt);
  if (loss !== null) return [{ kind: 'LOSE_ATTEMPT', run, attempt, loss }];
  if (run.status === 'CANCELLING') return [{ kind: 'STOP_ATTEMPT', workerId: attempt.workerId, attempt, reason: 'CANCEL' }];
  if (run.status === 'PAUSING') return [{ kind: 'STOP_ATTEMPT', workerId: attempt.workerId, attempt, reason: 'PAUSE' }];
  if (view.drained.has(attempt.workerId)) return [{ kind: 'STOP_ATTEMPT', workerId: attempt.workerId, attempt, reason: 'DRAIN' }];
  const worker = view.workers.find(({ holding }) => holding?.attemptId === attempt.attemptId);
  // One that has not been heard lately may still wait.
  return worker === undefined ? [] : explain(run, worker.waiting && { ...worker.waiting, workers: [] });
}

/** Why the attempt's worker counts as lost, or null. A worker that is alive but holds something else has forgotten it: it was restarted. */
function lossOf(view: SchedulingView, attempt: LiveAttempt): Loss | null {
  const startedMs = view.nowMs - attempt.ageMs;
  const worker = view.workers.find((candidate) => candidate.workerId === attempt.workerId);
  const heardFrom = Math.max(startedMs, view.listeningSinceMs);
  if (worker === undefined) {
    return view.nowMs - heardFrom > view.workerLostMs
      ? lost(`worker ${attempt.workerName} has been silent for more than ${view.workerLostMs} ms`)
      : null;
  }
  if (worker.holding?.attemptId === attempt.attemptId) return stallOf(view, worker, heardFrom);
  // The offer and the next heartbeat cross: only a heartbeat well after the offer tells what became of it.
  return worker.lastSeenMs - startedMs > view.workerLostMs
    ? lost(`worker ${attempt.workerName} no longer holds the attempt: it was restarted`)
    : null;
}

const lost = (reason: string): Loss => ({ code: 'WORKER_LOST', reason });

/** Heartbeats come from a thread of their own: they go on where the one that computes never comes back from a call. */
function stallOf({ nowMs, stalledMs }: SchedulingView, worker: KnownWorker, heardFrom: number): Loss | null {
  // While nobody could be heard, or nothing written down, its facts may have had nowhere to go.
  if (nowMs - Math.max(worker.progressAtMs, heardFrom) <= stalledMs) return null;
  const reason =
    `worker ${worker.name} is heard, but has made no progress for more than ${stalledMs} ms (COORDINATOR_STALLED_MS): ` +
    'its device or TensorFlow hangs. Restart the worker; it gets no other run until then';
  return { code: 'WORKER_STALLED', reason };
}

/** A run that nobody works on. Takes workers out of the pool as it offers. */
function planFree(view: SchedulingView, run: LeasedRun, pool: Pool): RunAction[] {
  switch (run.status) {
    case 'CANCELLING':
    case 'PREPARING':
    case 'RUNNING':
    case 'PAUSING':
      return [{ kind: 'SETTLE', run }];
    case 'QUEUED': {
      return run.retryInMs > 0 ? [] : planQueued(view, run, pool);
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

/** Gives a run to an idle worker into which it fits, and settles its micro-batch by all workers that it may ever go to; or says why not. */
function planQueued(view: SchedulingView, run: LeasedRun, pool: Pool): RunAction[] {
  const { workers, brokerAnswers } = view;
  const parsed = RequestedRecipeSchema.safeParse(run.recipe);
  const everything: Obstacles = { workers, general: pool.obstacles, own: () => null, brokerAnswers };
  // One that cannot be read is refused by the worker, which says what is wrong with it.
  if (!parsed.success) return offer(run, pool, everything, null);
  const eligible = workers.filter((worker) => isEligible(worker) && worker.state !== 'STOPPING');
  if (eligible.length === 0) return explain(run, waitOf(everything));
  const settled = parsed.data.microBatchSize;
  const trainSamples = run.trainSamples ?? Infinity;
  const size = settled ?? microBatchForAll(parsed.data, eligible.map(memoryOf), trainSamples);
  const fewest = parsed.data.batchNorm === 'batch' ? 2 : 1;
  const own = (worker: KnownWorker) => tooSmall(parsed.data, size ?? fewest, memoryOf(worker));
  if (size === null) {
    return explain(run, tooLargeWait(tooLittleMemory(parsed.data, eligible.map(memoryOf), trainSamples), { ...everything, own }));
  }
  // A user's own size that fits nowhere by our estimate is tried all the same.
  const anywhere = eligible.every((worker) => own(worker) !== null);
  return offer(run, pool, anywhere ? everything : { ...everything, own }, settled === null ? size : null);
}

/** The first idle one that it fits into and on which it has not failed; where it failed on all of them, the first. */
function offer(run: LeasedRun, { idle, obstacles }: Pool, found: Obstacles, microBatchSize: number | null): RunAction[] {
  const fits = (worker: KnownWorker) => found.own(worker) === null;
  const better = idle.findIndex((worker) => fits(worker) && !run.avoidWorkers.includes(worker.name));
  const index = better === -1 ? idle.findIndex(fits) : better;
  const [worker] = index === -1 ? [] : idle.splice(index, 1);
  if (worker === undefined) return explain(run, waitOf(found));
  obstacles.set(worker.workerId, { code: 'TAKEN', message: 'is being given another run.' });
  return [{ kind: 'OFFER', run, worker, microBatchSize }];
}

/** Nothing where it is known already. */
function explain(run: LeasedRun, wait: RunWait | null): RunAction[] {
  return JSON.stringify(run.wait) === JSON.stringify(wait) ? [] : [{ kind: 'EXPLAIN_WAIT', run, wait }];
}
