import { randomUUID } from 'node:crypto';
import type { Database, EventStore, LeasedRun, LiveAttempt, RunLeaseStore, WorkerPresenceStore } from '@roentgen/database';
import {
  assertNever,
  newId,
  stateEvent,
  statusesBefore,
  type Clock,
  type CoordinatorId,
  type RunEvent,
  type RunFailure,
} from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { AttemptOffer, AttemptStop } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import type { LivePublisher } from '../recording/live-publisher.js';
import { planRuns, type RunAction } from './plan-runs.js';
import type { KnownWorker, WorkerRegistry } from './worker-registry.js';

const REQUEST_TIMEOUT_MS = 2_000;

interface Parts {
  readonly id: CoordinatorId;
  readonly database: Database;
  readonly bus: Bus;
  readonly leases: RunLeaseStore;
  readonly events: EventStore;
  readonly live: LivePublisher;
  readonly registry: WorkerRegistry;
  readonly presence: WorkerPresenceStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: { readonly leaseMs: number; readonly workerLostMs: number; readonly maxAttempts: number; readonly maxRuns: number };
}

/** The shell around planRuns: looks, decides, acts. Every act is one transaction that changes nothing when the run has moved on. */
export class Scheduler {
  private lastTickMs = 0;

  constructor(private readonly parts: Parts) {}

  /** One look at everything this coordinator owns. */
  async tick(): Promise<void> {
    const { id, leases, registry, options, clock, bus } = this.parts;
    const sinceLastTickMs = clock.now().getTime() - this.lastTickMs;
    // Without a broker nobody is heard, and a process that was held up (stopped, suspended) has heard nobody either.
    if (!bus.connected || sinceLastTickMs > options.workerLostMs + 2 * REQUEST_TIMEOUT_MS) registry.listenAnew();
    this.lastTickMs += sinceLastTickMs;
    await this.writePresence();
    await leases.claimOpen(id, options.leaseMs, options.maxRuns);
    const runs = await leases.renew(id, options.leaseMs);
    const attempts = await leases.liveAttempts(runs.map((run) => run.runId));
    const actions = planRuns({
      nowMs: clock.now().getTime(),
      listeningSinceMs: registry.listeningSinceMs,
      workerLostMs: options.workerLostMs,
      maxAttempts: options.maxAttempts,
      runs,
      attempts,
      workers: registry.alive(),
    });
    await Promise.all(actions.map((action) => this.act(action)));
  }

  async release(): Promise<void> {
    await this.parts.leases.release(this.parts.id);
  }

  private async writePresence(): Promise<void> {
    const { registry, presence } = this.parts;
    const heard = registry.takeChanged();
    try {
      await presence.upsert(heard.map(({ heartbeat, silentMs }) => ({ ...heartbeat, runId: heartbeat.holding?.runId ?? null, silentMs })));
    } catch (err) {
      // The rows say less than was heard: nobody may be taken for silent by them.
      registry.listenAnew();
      throw err;
    }
  }

  private async act(action: RunAction): Promise<void> {
    switch (action.kind) {
      case 'OFFER':
        return await this.offer(action);
      case 'EXPLAIN_WAIT':
        return await this.parts.leases.explainWait(action.run.runId, { code: 'NO_WORKER_FITS', message: action.reason });
      case 'LOSE_ATTEMPT':
        return await this.loseAttempt(action.run, action.attempt, action.reason);
      case 'STOP_ATTEMPT':
        return await this.stopAttempt(action);
      case 'REQUEUE':
        return await this.move(action.run, 'QUEUED', 'RUN_REQUEUED', {
          code: 'NO_ATTEMPT',
          message: 'nobody worked on the run',
          details: {},
        });
      case 'CANCEL':
        return await this.move(action.run, 'CANCELLED', 'RUN_CANCELLED', null);
      case 'GIVE_UP':
        return await this.move(action.run, 'FAILED', 'RUN_FAILED', {
          code: 'TOO_MANY_ATTEMPTS',
          message: `The run was tried ${action.run.attempts} times, the most it gets (COORDINATOR_MAX_ATTEMPTS); see its attempts for the causes.`,
          details: { attempts: action.run.attempts },
        });
      default:
        return assertNever(action);
    }
  }

  /** The attempt's row comes first; a worker that refuses or does not answer loses it again at no charge. */
  private async offer({ run, worker, microBatchSize }: Extract<RunAction, { kind: 'OFFER' }>): Promise<void> {
    const { database, leases, events, live, registry, logger, id } = this.parts;
    const held = { runId: run.runId, attemptId: newId('att'), generation: run.generation, token: randomUUID() };
    const opened = await database.transaction('open_attempt', async (tx) => {
      const attempt = await leases.openAttempt(tx, { ...held, coordinator: id, workerId: worker.workerId, workerName: worker.name });
      if (attempt === null) return null;
      if (microBatchSize !== null) await leases.settleMicroBatch(tx, run.runId, microBatchSize);
      const batches = microBatchSize === null ? '' : `, micro-batches of ${microBatchSize}`;
      const about = {
        attemptId: held.attemptId,
        workerId: worker.workerId,
        message: `attempt ${attempt.number} on ${worker.name}${batches}`,
      };
      return {
        number: attempt.number,
        appended: await events.append(tx, run.runId, [stateEvent('coordinator', 'ATTEMPT_ASSIGNED', 'PREPARING', about)]),
      };
    });
    if (opened === null) return;
    live.publish(opened.appended);
    const recipe = microBatchSize === null ? run.recipe : { ...run.recipe, microBatchSize };
    const refusal = await this.askWorker({ ...run, recipe }, worker, held, opened.number);
    if (refusal === null) {
      logger.info({ runId: run.runId, attemptId: held.attemptId, worker: worker.name, attempt: opened.number }, 'attempt assigned');
      return;
    }
    logger.warn({ runId: run.runId, worker: worker.name, refusal }, 'attempt was not taken');
    registry.refused(worker.workerId);
    const took = await database.transaction('refuse_attempt', async (tx) => {
      await leases.lockRun(tx, run.runId);
      // RUNNING: it accepted after all, and only its answer came too late. One that has not begun yet finds its token stale and drops the attempt.
      if (!(await leases.endAttempt(tx, held.attemptId, 'REFUSED', { code: 'REFUSED', message: refusal }, ['OFFERED']))) return [];
      if (!(await leases.move(tx, run.runId, ['PREPARING'], 'QUEUED', { code: 'WORKER_REFUSED', message: refusal }))) return [];
      return await events.append(tx, run.runId, [
        stateEvent('coordinator', 'RUN_REQUEUED', 'QUEUED', { attemptId: held.attemptId, workerId: worker.workerId, message: refusal }),
      ]);
    });
    live.publish(took);
  }

  /** Null when the worker took the attempt, else why not. */
  private async askWorker(
    run: LeasedRun,
    worker: KnownWorker,
    held: { runId: LeasedRun['runId']; attemptId: LiveAttempt['attemptId']; generation: number; token: string },
    attemptNumber: number,
  ): Promise<string | null> {
    try {
      const reply = await this.parts.bus.request(
        AttemptOffer,
        [worker.workerId],
        {
          ...held,
          projectId: run.projectId,
          attemptNumber,
          recipe: run.recipe,
          dataset: run.dataset,
          initialWeights: run.initialWeights && {
            ...run.initialWeights,
            objectKey: objectKeys.weights(run.projectId, run.initialWeights.sha256),
          },
          resumeFrom: run.checkpoint,
        },
        { timeoutMs: REQUEST_TIMEOUT_MS },
      );
      return reply.accepted ? null : (reply.reason ?? 'the worker refused without a reason');
    } catch (err) {
      return err instanceof Error ? err.message : String(err);
    }
  }

  private async loseAttempt(run: LeasedRun, attempt: LiveAttempt, reason: string): Promise<void> {
    const { id, database, leases, events, live, logger } = this.parts;
    const failure: RunFailure = { code: 'WORKER_LOST', message: reason, details: { worker: attempt.workerName } };
    const about = { attemptId: attempt.attemptId, workerId: attempt.workerId, message: reason, failure };
    const appended = await database.transaction('lose_attempt', async (tx) => {
      if ((await leases.lockOwned(tx, { ...run, coordinator: id })) === null) return [];
      if (!(await leases.endAttempt(tx, attempt.attemptId, 'LOST', failure))) return [];
      if (await leases.move(tx, run.runId, ['CANCELLING'], 'CANCELLED', null)) {
        return await events.append(tx, run.runId, [
          stateEvent('coordinator', 'ATTEMPT_LOST', 'CANCELLING', about),
          stateEvent('coordinator', 'RUN_CANCELLED', 'CANCELLED'),
        ]);
      }
      await leases.move(tx, run.runId, statusesBefore('QUEUED'), 'QUEUED', failure);
      return await events.append(tx, run.runId, [
        stateEvent('coordinator', 'ATTEMPT_LOST', 'QUEUED', about),
        stateEvent('coordinator', 'RUN_REQUEUED', 'QUEUED', { message: reason }),
      ]);
    });
    if (appended.length > 0)
      logger.warn({ runId: run.runId, attemptId: attempt.attemptId, worker: attempt.workerName, reason }, 'attempt lost');
    live.publish(appended);
  }

  /** Asked again at every tick until the worker's last event ends the attempt. */
  private async stopAttempt({ attempt, workerId, reason }: Extract<RunAction, { kind: 'STOP_ATTEMPT' }>): Promise<void> {
    const order = { attemptId: attempt.attemptId, token: attempt.token, reason };
    await this.parts.bus
      .request(AttemptStop, [workerId], order, { timeoutMs: REQUEST_TIMEOUT_MS })
      .catch((err: unknown) => this.parts.logger.warn({ err, runId: attempt.runId, workerId, reason }, 'the worker did not answer a stop'));
  }

  private async move(
    run: LeasedRun,
    to: 'QUEUED' | 'FAILED' | 'CANCELLED',
    kind: RunEvent['kind'],
    failure: RunFailure | null,
  ): Promise<void> {
    const { id, database, leases, events, live } = this.parts;
    const appended = await database.transaction('move_run', async (tx) => {
      if ((await leases.lockOwned(tx, { ...run, coordinator: id })) === null) return [];
      if (!(await leases.move(tx, run.runId, [run.status], to, failure))) return [];
      return await events.append(tx, run.runId, [stateEvent('coordinator', kind, to, { message: failure?.message ?? null, failure })]);
    });
    live.publish(appended);
  }
}
