import type { OpenRuns } from '@roentgen/database';
import { RUN_STATUSES, isTerminal, type RunEvent, type RunStatus } from '@roentgen/domain';
import type { Counter, Gauge, Histogram, Metrics } from '@roentgen/telemetry';
import type { Outcome } from '../runs/run-book.js';
import type { KnownWorker } from '../scheduling/worker-registry.js';

/** States that the gauge of open runs tells; a paused run waits for a user. */
const OPEN_STATES: readonly RunStatus[] = RUN_STATUSES.filter((status) => !isTerminal(status) && status !== 'PAUSED');
const WORKER_STATES: readonly KnownWorker['state'][] = ['IDLE', 'TRAINING', 'PREDICTING', 'STOPPING'];

interface Sources {
  /** Of the whole installation, not of this coordinator. */
  readonly openRuns: () => Promise<readonly OpenRuns[]>;
  readonly workers: () => readonly Pick<KnownWorker, 'state'>[];
}

/** What a coordinator counts. Gauges of open runs and workers say what there is in all: every coordinator tells the same. */
export class CoordinatorMetrics {
  private readonly turnSeconds: Histogram<'loop' | 'outcome'>;
  private readonly leaseRenewals: Counter;
  private readonly ownedRuns: Gauge;
  private readonly events: Counter<'kind'>;
  private readonly attemptsOpened: Counter;
  private readonly attemptsEnded: Counter<'status' | 'cause'>;
  private readonly finished: Counter<'state' | 'cause'>;

  constructor(metrics: Metrics, { openRuns, workers }: Sources) {
    this.turnSeconds = metrics.histogram('coordinator_tick_duration_seconds', 'Turns of the loops of a coordinator.', ['loop', 'outcome']);
    this.leaseRenewals = metrics.counter('run_lease_renewals_total', 'Leases of runs that this coordinator prolonged.');
    this.ownedRuns = metrics.gauge('runs_owned', 'Runs that this coordinator holds the lease of.');
    this.events = metrics.counter('events_recorded_total', 'Events that this coordinator put into the logs of runs.', ['kind']);
    this.attemptsOpened = metrics.counter('attempts_offered_total', 'Attempts that this coordinator offered to a worker.');
    this.attemptsEnded = metrics.counter(
      'attempts_ended_total',
      'Attempts whose end this coordinator recorded; cause NONE: nothing failed.',
      ['status', 'cause'],
    );
    this.finished = metrics.counter('runs_finished_total', 'Runs whose end this coordinator recorded; cause NONE: nothing failed.', [
      'state',
      'cause',
    ]);
    metrics.gauge('runs_open', 'Runs that are neither over nor paused, in the whole installation.', ['state'], async (gauge) => {
      const byState = new Map((await openRuns()).map(({ status, count }) => [status, count]));
      for (const state of OPEN_STATES) gauge.set({ state }, byState.get(state) ?? 0);
    });
    metrics.gauge('runs_queued_oldest_age_seconds', 'How long the oldest queued run has waited; 0 when none waits.', [], async (gauge) => {
      gauge.set((await openRuns()).find(({ status }) => status === 'QUEUED')?.oldest_seconds ?? 0);
    });
    metrics.gauge('workers_alive', 'Workers that this coordinator has heard of lately.', ['state'], (gauge) => {
      const heard = workers();
      for (const state of WORKER_STATES) gauge.set({ state }, heard.filter((worker) => worker.state === state).length);
    });
  }

  /** One turn of a loop; rethrows what it throws. */
  async turn(loop: string, work: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    let outcome = 'failed';
    try {
      await work();
      outcome = 'ok';
    } finally {
      this.turnSeconds.observe({ loop, outcome }, (performance.now() - startedMs) / 1_000);
    }
  }

  renewed(runs: number): void {
    this.leaseRenewals.inc(runs);
    this.ownedRuns.set(runs);
  }

  /** What happened to a run, after the commit. */
  changed({ decision, events }: Outcome): void {
    for (const { kind } of events) this.events.inc({ kind });
    if (!decision.ok) return;
    for (const change of decision.changes) {
      if (change.kind === 'OPEN_ATTEMPT') this.attemptsOpened.inc();
      if (change.kind === 'END_ATTEMPT') this.attemptsEnded.inc({ status: change.status, cause: change.cause ?? 'NONE' });
    }
  }

  /** @param cause from the table of causes */
  runFinished(event: RunEvent, cause: string | null): void {
    this.finished.inc({ state: event.status ?? 'UNKNOWN', cause: cause ?? 'NONE' });
  }
}
