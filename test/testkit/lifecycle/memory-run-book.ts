import type { Outcome, Report, RunBook } from '@roentgen/coordinator';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import {
  FREE_CAUSES,
  HELD_WAIT_CODES,
  RunEventSchema,
  assertNever,
  decide,
  decideReport,
  isTerminal,
  newId,
  stateEvent,
  type Clock,
  type CoordinatorId,
  type Decision,
  type EndedAttemptState,
  type EndedAttemptStatus,
  type LiveAttemptState,
  type RetryLimits,
  type RunChange,
  type RunEvent,
  type RunId,
  type RunInput,
  type RunOwner,
  type RunState,
  type RunStatus,
  type RunWait,
} from '@roentgen/domain';

export const ENDED_ATTEMPTS_SEEN = 20;

interface AttemptRow {
  attempt: LiveAttemptState;
  openedAtMs: number;
  ended: { status: EndedAttemptStatus; cause: EndedAttemptState['cause'] } | null;
}

export interface MemoryRun {
  readonly runId: RunId;
  status: RunStatus;
  generation: number;
  owner: CoordinatorId | null;
  leaseUntilMs: number;
  retryAtMs: number;
  highestStep: number;
  checkpointStep: number | null;
  models: number;
  microBatchSize: number | null;
  wait: RunWait | null;
  readonly attempts: AttemptRow[];
  readonly events: RunEvent[];
}

/** The runs in memory, as rows that changes are applied to one by one, like those of Postgres: what holds for one must hold for the other. */
export class MemoryRunBook implements RunBook {
  readonly runs = new Map<RunId, MemoryRun>();

  constructor(
    private readonly clock: Clock,
    private readonly limits: RetryLimits,
  ) {}

  addRun(runId: RunId = newId('run')): RunId {
    this.runs.set(runId, {
      runId,
      status: 'QUEUED',
      generation: 0,
      owner: null,
      leaseUntilMs: 0,
      retryAtMs: 0,
      highestStep: 0,
      checkpointStep: null,
      models: 0,
      microBatchSize: null,
      wait: null,
      attempts: [],
      events: [],
    });
    return runId;
  }

  claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]> {
    const open = [...this.runs.values()].filter((run) => !isTerminal(run.status) && run.status !== 'PAUSED');
    const owned = open.filter((run) => run.owner === coordinator && run.leaseUntilMs >= this.nowMs).length;
    const free = open.filter((run) => run.owner === null || run.leaseUntilMs < this.nowMs).slice(0, Math.max(0, maxOwned - owned));
    for (const run of free) Object.assign(run, { owner: coordinator, leaseUntilMs: this.nowMs + leaseMs, generation: run.generation + 1 });
    return Promise.resolve(free.map((run) => run.runId));
  }

  renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    const owned = [...this.runs.values()].filter(
      (run) => run.owner === coordinator && run.leaseUntilMs >= this.nowMs && !isTerminal(run.status) && run.status !== 'PAUSED',
    );
    for (const run of owned) run.leaseUntilMs = this.nowMs + leaseMs;
    return Promise.resolve(owned.map((run) => this.toLeased(run)));
  }

  release(coordinator: CoordinatorId): Promise<void> {
    for (const run of this.runs.values()) if (run.owner === coordinator) run.owner = null;
    return Promise.resolve();
  }

  liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]> {
    const rows = runIds.flatMap((runId) =>
      (this.runs.get(runId)?.attempts ?? []).filter((row) => row.ended === null).map((row) => ({ runId, row })),
    );
    return Promise.resolve(
      rows.map(({ runId, row: { attempt, openedAtMs } }) => ({ ...attempt, runId, status: attempt.phase, ageMs: this.nowMs - openedAtMs })),
    );
  }

  explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void> {
    const run = this.runs.get(runId);
    const held = wait === null || HELD_WAIT_CODES.some((code) => code === wait.code);
    const states: readonly RunStatus[] = held ? ['PREPARING', 'RUNNING'] : ['QUEUED'];
    if (run?.owner === by.coordinator && run.generation === by.generation && states.includes(run.status)) run.wait = wait;
    return Promise.resolve();
  }

  apply(runId: RunId, input: RunInput): Promise<Outcome> {
    return Promise.resolve(this.change(runId, (state) => decide(state, input, this.limits)));
  }

  report(report: Report): Promise<Outcome> {
    const known = new Set(this.runs.get(report.runId)?.events.map((event) => event.eventId));
    return Promise.resolve(this.change(report.runId, (state) => decideReport(state, report, report.events, known, this.limits)));
  }

  load(runId: RunId): RunState | null {
    const run = this.runs.get(runId);
    if (run === undefined) return null;
    const { status, generation, owner, highestStep, checkpointStep, attempts } = run;
    const ended = attempts.flatMap(({ attempt, ended: end }): EndedAttemptState[] => {
      if (end === null || end.status === 'REFUSED') return [];
      const { number, workerName, lastStep, progressed } = attempt;
      return [{ number, workerName, lastStep, progressed, ...end }];
    });
    // Those since the last progress, and so many in any case.
    const lastProgress = attempts.findLast((row) => row.attempt.progressed)?.attempt.number ?? 0;
    const seenFrom = Math.min(lastProgress, ended.at(-ENDED_ATTEMPTS_SEEN)?.number ?? 0);
    const live = attempts.filter((row) => row.ended === null).map((row) => row.attempt);
    if (live.length > 1) throw new Error(`${runId} has ${live.length} attempts that are alive`);
    const attempt = live[0] ?? null;
    return {
      runId,
      status,
      generation,
      owner,
      highestStep,
      checkpointStep,
      forkedAtStep: null,
      attempt,
      ended: ended.filter(({ number }) => number >= seenFrom),
      attemptCount: attempts.length,
    };
  }

  private change(runId: RunId, decideWith: (state: RunState) => Decision): Outcome {
    const run = this.runs.get(runId);
    const state = this.load(runId);
    if (run === undefined || state === null) return { decision: { ok: false, reason: 'STALE', message: 'unknown run' }, events: [] };
    const decision = decideWith(state);
    if (!decision.ok) return { decision, events: [] };
    for (const change of decision.changes) this.write(run, change);
    const recordedAt = this.clock.now().toISOString();
    const events = decision.events.map((draft, i) => {
      const input = 'fact' in draft ? draft.fact : stateEvent('coordinator', draft.kind, draft.status, draft.about);
      return RunEventSchema.parse({ ...input, runId, recordedAt, sequence: run.events.length + 1 + i });
    });
    run.events.push(...events);
    return { decision, events };
  }

  private write(run: MemoryRun, change: RunChange): void {
    const live = run.attempts.find((row) => row.ended === null);
    const own = () => {
      if (live === undefined || !('attemptId' in change) || live.attempt.attemptId !== change.attemptId)
        throw new Error(`${change.kind} of an attempt that is not alive`);
      return live;
    };
    switch (change.kind) {
      case 'MOVE':
        if (run.status !== change.from) throw new Error(`MOVE from ${change.from} of a run that is ${run.status}`);
        run.status = change.to;
        run.wait = null;
        run.retryAtMs = this.nowMs + change.retryAfterMs;
        if (isTerminal(change.to) || change.to === 'PAUSED') run.owner = null;
        return;
      case 'OPEN_ATTEMPT':
        run.attempts.push({ attempt: change.attempt, openedAtMs: this.nowMs, ended: null });
        return;
      case 'SETTLE_MICRO_BATCH':
        run.microBatchSize ??= change.microBatchSize;
        return;
      case 'START_ATTEMPT':
        own().attempt = { ...own().attempt, phase: 'RUNNING' };
        return;
      case 'ADVANCE':
        own().attempt = { ...own().attempt, lastStep: change.lastStep, progressed: change.progressed };
        run.highestStep = Math.max(run.highestStep, change.highestStep);
        return;
      case 'ADD_CHECKPOINT':
        run.checkpointStep = change.checkpoint.step;
        return;
      case 'END_ATTEMPT':
        own().ended = { status: change.status, cause: change.cause };
        return;
      case 'ADD_MODEL':
        run.models++;
        return;
      default:
        assertNever(change);
    }
  }

  private toLeased(run: MemoryRun): LeasedRun {
    const { runId, status, generation } = run;
    const sha256 = 'a'.repeat(64);
    const projectId = newId('prj');
    const dataset = { datasetVersionId: newId('dsv'), projectId, manifestKey: 'k', manifestSha256: sha256, classes: ['a', 'b'] };
    // The key tells the simulated worker at which step it goes on.
    const checkpoint =
      run.checkpointStep === null ? null : { checkpointId: newId('ckp'), objectKey: String(run.checkpointStep), sha256, bytes: 1 };
    return {
      runId,
      projectId,
      status,
      generation,
      recipe: { microBatchSize: run.microBatchSize },
      trainSamples: null,
      dataset,
      checkpoint,
      initialWeights: null,
      retryInMs: Math.max(0, run.retryAtMs - this.nowMs),
      avoidWorkers: avoidedBy(run),
      wait: run.wait,
    };
  }

  private get nowMs(): number {
    return this.clock.now().getTime();
  }
}

/** Names of workers on which the run failed since it last got further, but for what was no fault of theirs. */
function avoidedBy({ attempts }: MemoryRun): string[] {
  const since = attempts.slice(attempts.findLastIndex(({ attempt }) => attempt.progressed) + 1);
  const failed = since.filter(({ ended }) => ended !== null && ended.cause !== null && !FREE_CAUSES.includes(ended.cause));
  return [...new Set(failed.map(({ attempt }) => attempt.workerName))].sort();
}
