import type {
  Database,
  EventStore,
  LeasedRun,
  LiveAttempt,
  MetricPoint,
  Queryable,
  RecorderStore,
  RunLeaseStore,
  RunLifecycleStore,
  WorkerExclusionStore,
} from '@roentgen/database';
import {
  decide,
  decideReport,
  idsToLookUp,
  judgeWorker,
  type CoordinatorId,
  type Decision,
  type RetryLimits,
  type RunEvent,
  type RunId,
  type RunInput,
  type RunOwner,
  type RunState,
  type RunWait,
} from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Outcome, Report, RunBook } from './run-book.js';

interface Parts {
  readonly database: Database;
  readonly leases: RunLeaseStore;
  readonly lifecycle: RunLifecycleStore;
  readonly events: EventStore;
  readonly recorder: RecorderStore;
  readonly exclusions: WorkerExclusionStore;
  readonly limits: RetryLimits;
  /** Failures in a row, of different runs, that set a worker aside. */
  readonly workerFailures: number;
  readonly logger: Logger;
}

/**
 * How long an act of a coordinator, and a report of a worker, wait for a run that another transaction has locked, ms. Transactions on a run take
 * milliseconds; where one does not end, its process was stopped, and neither the leases of other runs nor all connections may be lost to that.
 */
const LOCK_TIMEOUT_MS = { act: 250, report: 2_000 } as const;

/** Metrics under this name describe the run, not a step: they go to columns of the run. */
const RUN_METRIC = { totalSteps: 'run/total-steps' } as const;

interface Change {
  readonly name: string;
  readonly runId: RunId;
  readonly lockTimeoutMs: number;
  readonly decideWith: (tx: Queryable, state: RunState) => Promise<Decision>;
  readonly also?: (tx: Queryable, appended: readonly RunEvent[]) => Promise<void>;
}

export class PostgresRunBook implements RunBook {
  constructor(private readonly parts: Parts) {}

  claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]> {
    return this.parts.leases.claimOpen(coordinator, leaseMs, maxOwned);
  }

  renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    return this.parts.leases.renew(coordinator, leaseMs);
  }

  release(coordinator: CoordinatorId): Promise<void> {
    return this.parts.leases.release(coordinator);
  }

  liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]> {
    return this.parts.leases.liveAttempts(runIds);
  }

  explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void> {
    return this.parts.leases.explainWait(runId, by, wait);
  }

  apply(runId: RunId, input: RunInput): Promise<Outcome> {
    return this.change({
      name: `run_${input.kind.toLowerCase()}`,
      runId,
      lockTimeoutMs: LOCK_TIMEOUT_MS.act,
      decideWith: (_tx, state) => Promise.resolve(decide(state, input, this.parts.limits)),
    });
  }

  async report(report: Report): Promise<Outcome> {
    const { runId, events } = report;
    const decideWith = async (tx: Queryable, state: RunState): Promise<Decision> => {
      const known = await this.parts.events.known(tx, runId, idsToLookUp(events));
      return decideReport(state, report, events, known, this.parts.limits);
    };
    return await this.change({
      name: 'record_events',
      runId,
      lockTimeoutMs: LOCK_TIMEOUT_MS.report,
      decideWith,
      also: (tx, appended) => this.recordProgress(tx, runId, appended),
    });
  }

  private change({ name, runId, lockTimeoutMs, decideWith, also }: Change): Promise<Outcome> {
    const work = async (tx: Queryable): Promise<Outcome> => {
      const state = await this.parts.lifecycle.load(tx, runId);
      if (state === null)
        return { decision: { ok: false, reason: 'STALE', message: `There is no run ${runId} (unknown run).` }, events: [] };
      const decision = await decideWith(tx, state);
      if (!decision.ok) return { decision, events: [] };
      const events = await this.parts.lifecycle.record(tx, runId, decision);
      await also?.(tx, events);
      await this.judgeWorkers(tx, decision);
      return { decision, events };
    };
    return this.parts.database.transaction(name, work, { lockTimeoutMs });
  }

  /** Metrics and the step counter: one statement each a batch. */
  private async recordProgress(tx: Queryable, runId: RunId, events: readonly RunEvent[]): Promise<void> {
    const points: MetricPoint[] = events.flatMap(({ step, epoch, occurredAt, metrics }) =>
      step === null ? [] : metrics.filter((m) => m.name !== RUN_METRIC.totalSteps).map((m) => ({ ...m, step, epoch, occurredAt })),
    );
    await this.parts.recorder.upsertMetrics(tx, runId, points);
    const last = events.findLast((event) => event.step !== null);
    if (last?.step == null) return;
    const totalSteps = events.flatMap((event) => event.metrics).findLast((m) => m.name === RUN_METRIC.totalSteps)?.value ?? null;
    await this.parts.recorder.advance(tx, runId, { step: last.step, epoch: last.epoch, totalSteps });
  }

  /** A worker whose last failures speak against it gets nothing for a while. */
  private async judgeWorkers(tx: Queryable, decision: Extract<Decision, { ok: true }>): Promise<void> {
    const { exclusions, workerFailures, logger } = this.parts;
    for (const change of decision.changes) {
      if (change.kind !== 'END_ATTEMPT' || change.cause === null) continue;
      const evidence = judgeWorker(await exclusions.recentAttempts(tx, change.workerName), workerFailures);
      if (evidence === null) continue;
      const aside = await exclusions.setAside(tx, change.workerName, evidence);
      logger.error({ worker: change.workerName, until: aside.until, evidence }, 'worker set aside');
    }
  }
}
