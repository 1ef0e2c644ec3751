import type { Database, EventStore, MetricPoint, Queryable, RecorderStore, RunLeaseStore } from '@roentgen/database';
import {
  ConflictError,
  StaleTokenError,
  stateEvent,
  statusesBefore,
  type RunEvent,
  type RunEventInput,
  type RunFailure,
  type RunId,
  type RunStatus,
} from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { RecordEvents } from '@roentgen/protocol';
import type { z } from 'zod';
import { ruleFor } from './failure-rules.js';
import type { LivePublisher } from './live-publisher.js';

type Batch = z.infer<typeof RecordEvents.schema>;

interface Parts {
  readonly database: Database;
  readonly events: EventStore;
  readonly leases: RunLeaseStore;
  readonly store: RecorderStore;
  readonly live: LivePublisher;
  readonly logger: Logger;
  readonly maxAttempts: number;
}

/** Metrics under this name describe the run, not a step: they go to columns of the run. */
const RUN_METRIC = { totalSteps: 'run/total-steps' } as const;

/** Writes what workers report: the log, and what it means for the tables, in one transaction; then tells the gateways. */
export class Recorder {
  constructor(private readonly parts: Parts) {}

  /**
   * Records a batch once, however often it comes.
   * @throws StaleTokenError when the attempt has ended or belongs to another, and the batch holds anything that is not recorded yet
   */
  async record(batch: Batch): Promise<{ recorded: number }> {
    const appended = await this.parts.database.transaction('record_events', (tx) => this.recordIn(tx, batch));
    this.parts.live.publish(appended);
    for (const event of appended) this.logEnd(batch.runId, event);
    return { recorded: batch.events.length };
  }

  private async recordIn(tx: Queryable, batch: Batch): Promise<RunEvent[]> {
    const { events, leases, store } = this.parts;
    const status = await leases.lockRun(tx, batch.runId);
    if (!(await store.isAlive(tx, batch))) {
      const eventIds = batch.events.map((event) => event.eventId);
      // The answer to a batch that ended the attempt can get lost: the worker asks again and must hear that all is well.
      if ((await events.countKnown(tx, batch.runId, eventIds)) === eventIds.length) return [];
      throw new StaleTokenError(
        `Attempt ${batch.attemptId} of ${batch.runId} (${status ?? 'unknown run'}) has ended or is another's: drop it.`,
        {
          attemptId: batch.attemptId,
          runId: batch.runId,
        },
      );
    }
    const stamped = batch.events.map((event) => ({
      ...event,
      attemptId: batch.attemptId,
      workerId: batch.workerId,
      status: statusAfter(event.kind, status),
    }));
    const appended = await events.append(tx, batch.runId, stamped);
    await this.recordProgress(tx, batch.runId, appended);
    const consequences: RunEventInput[] = [];
    for (const event of appended) consequences.push(...(await this.apply(tx, batch, event)));
    return [...appended, ...(await events.append(tx, batch.runId, consequences))];
  }

  /** Metrics and the step counter: one statement each a batch. */
  private async recordProgress(tx: Queryable, runId: RunId, events: readonly RunEvent[]): Promise<void> {
    const points: MetricPoint[] = events.flatMap((event) =>
      event.step === null
        ? []
        : event.metrics
            .filter((m) => m.name !== RUN_METRIC.totalSteps)
            .map((m) => ({ ...m, step: event.step!, epoch: event.epoch, occurredAt: event.occurredAt })),
    );
    await this.parts.store.upsertMetrics(tx, runId, points);
    const last = events.findLast((event) => event.step !== null);
    if (last?.step == null) return;
    const totalSteps = events.flatMap((event) => event.metrics).findLast((m) => m.name === RUN_METRIC.totalSteps)?.value ?? null;
    await this.parts.store.advance(tx, runId, { step: last.step, epoch: last.epoch, totalSteps });
  }

  /** What one event changes besides the log; returns the events that follow from it. */
  private async apply(tx: Queryable, batch: Batch, event: RunEvent): Promise<RunEventInput[]> {
    const { leases, store } = this.parts;
    const { runId, attemptId } = batch;
    switch (event.kind) {
      case 'RUN_STARTED':
        await store.markAttemptRunning(tx, attemptId);
        await leases.move(tx, runId, STARTABLE, 'RUNNING', null);
        return [];
      case 'CHECKPOINT_SAVED':
        if (event.checkpoint !== null) await store.addCheckpoint(tx, runId, attemptId, event.checkpoint);
        return [];
      case 'RUN_SUCCEEDED':
        await leases.endAttempt(tx, attemptId, 'SUCCEEDED', null);
        // The log must not say SUCCEEDED of a run that did not: the attempt fails the whole batch.
        if (!(await leases.move(tx, runId, statusesBefore('SUCCEEDED'), 'SUCCEEDED', null)) || !(await store.addModel(tx, runId)))
          throw neverTrained(batch);
        return [];
      case 'RUN_CANCELLED':
        await leases.endAttempt(tx, attemptId, 'CANCELLED', null);
        await leases.move(tx, runId, statusesBefore('CANCELLED'), 'CANCELLED', null);
        return [];
      case 'ATTEMPT_FAILED':
        return await this.attemptFailed(tx, batch, event);
      default:
        return [];
    }
  }

  private async attemptFailed(tx: Queryable, batch: Batch, event: RunEvent): Promise<RunEventInput[]> {
    const { leases, maxAttempts } = this.parts;
    const failure: RunFailure = event.failure ?? { code: 'UNKNOWN', message: event.message ?? 'the worker gave no reason', details: {} };
    const about = { attemptId: batch.attemptId, workerId: batch.workerId, message: failure.message, failure };
    await leases.endAttempt(tx, batch.attemptId, 'FAILED', failure);
    if (await leases.move(tx, batch.runId, ['CANCELLING'], 'CANCELLED', null))
      return [stateEvent('coordinator', 'RUN_CANCELLED', 'CANCELLED', about)];
    const tries = await leases.attemptCount(tx, batch.runId);
    if (ruleFor(failure.code, tries, maxAttempts) === 'requeue') {
      await leases.move(tx, batch.runId, statusesBefore('QUEUED'), 'QUEUED', failure);
      return [stateEvent('coordinator', 'RUN_REQUEUED', 'QUEUED', about)];
    }
    await leases.move(tx, batch.runId, statusesBefore('FAILED'), 'FAILED', failure);
    return [stateEvent('coordinator', 'RUN_FAILED', 'FAILED', about)];
  }

  private logEnd(runId: RunId, event: RunEvent): void {
    if (event.status === 'SUCCEEDED' || event.status === 'FAILED' || event.status === 'CANCELLED') {
      this.parts.logger.info(
        { runId, attemptId: event.attemptId, outcome: event.status, step: event.step, failure: event.failure?.code },
        'run ended',
      );
    }
  }
}

/** The state that a run in `before` gets by a worker's event, null where it keeps its own; the recorder, not the worker, says so. */
function statusAfter(kind: RunEvent['kind'], before: RunStatus | null): RunStatus | null {
  switch (kind) {
    case 'RUN_STARTED':
      // One that is being cancelled goes on being so.
      return before !== null && STARTABLE.includes(before) ? 'RUNNING' : null;
    case 'RUN_SUCCEEDED':
      return 'SUCCEEDED';
    case 'RUN_CANCELLED':
      return 'CANCELLED';
    default:
      return null;
  }
}

const STARTABLE: readonly RunStatus[] = ['PREPARING', 'WAITING'];

function neverTrained({ runId, attemptId }: Batch): ConflictError {
  return new ConflictError(
    `Attempt ${attemptId} cannot make ${runId} SUCCEEDED: that takes a RUN_STARTED and a CHECKPOINT_SAVED of the run first.`,
    { runId, attemptId },
  );
}
