import { endsRun, type CoordinatorId, type RunId, type RunInput, type RunOwner, type RunWait } from '@roentgen/domain';
import type { FinishedRunLog, LeasedRun, LiveAttempt } from '@roentgen/database';
import type { Outcome, Report, RunBook } from '../runs/run-book.js';
import type { CoordinatorMetrics } from './coordinator-metrics.js';
import type { RunTraces } from './run-traces.js';

interface Observers {
  readonly metrics: Pick<CoordinatorMetrics, 'renewed' | 'changed'>;
  readonly finished: Pick<FinishedRunLog, 'note'>;
  readonly traces: Pick<RunTraces, 'forget'>;
}

/** A book of runs whose changes are counted and, when a run ends, logged; after the commit, and without a word in it. */
export class ObservedRunBook implements RunBook {
  constructor(
    private readonly book: RunBook,
    private readonly observers: Observers,
  ) {}

  claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]> {
    return this.book.claimOpen(coordinator, leaseMs, maxOwned);
  }

  async renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    const runs = await this.book.renew(coordinator, leaseMs);
    this.observers.metrics.renewed(runs.length);
    return runs;
  }

  release(coordinator: CoordinatorId): Promise<void> {
    return this.book.release(coordinator);
  }

  liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]> {
    return this.book.liveAttempts(runIds);
  }

  explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void> {
    return this.book.explainWait(runId, by, wait);
  }

  async apply(runId: RunId, input: RunInput): Promise<Outcome> {
    return this.observed(runId, await this.book.apply(runId, input));
  }

  async report(report: Report): Promise<Outcome> {
    return this.observed(report.runId, await this.book.report(report));
  }

  private observed(runId: RunId, outcome: Outcome): Outcome {
    const { metrics, finished, traces } = this.observers;
    metrics.changed(outcome);
    finished.note(outcome.events);
    if (outcome.events.some(({ kind }) => endsRun(kind))) traces.forget(runId);
    return outcome;
  }
}
