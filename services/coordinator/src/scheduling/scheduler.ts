import { randomUUID } from 'node:crypto';
import {
  LockTimeoutError,
  type LeasedRun,
  type LiveAttempt,
  type WorkerExclusionStore,
  type WorkerPresenceStore,
} from '@roentgen/database';
import { assertNever, coerceError, newId, type Clock, type CoordinatorId, type RunInput } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { AttemptOffer, AttemptStop } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import { NO_TRACER, type Span } from '@roentgen/telemetry';
import type { LivePublisher } from '../recording/live-publisher.js';
import { RunTraces } from '../observability/run-traces.js';
import type { RunBook } from '../runs/run-book.js';
import { BrokerPulse } from './broker-pulse.js';
import { planRuns, type Loss, type RunAction } from './plan-runs.js';
import type { WorkerRegistry } from './worker-registry.js';

const REQUEST_TIMEOUT_MS = 2_000;
/** A broker that takes longer for a ping delivers no heartbeats either. */
const BROKER_ANSWERS_WITHIN_MS = 1_000;

export interface SchedulerParts {
  readonly id: CoordinatorId;
  readonly runs: RunBook;
  readonly bus: Pick<Bus, 'connected' | 'flush' | 'request'>;
  readonly live: Pick<LivePublisher, 'publish'>;
  readonly registry: WorkerRegistry;
  readonly presence: Pick<WorkerPresenceStore, 'upsert'>;
  readonly exclusions: Pick<WorkerExclusionStore, 'excluded'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Left out: nothing is traced. */
  readonly traces?: Pick<RunTraces, 'dispatch'>;
  readonly options: { readonly leaseMs: number; readonly workerLostMs: number; readonly stalledMs: number; readonly maxRuns: number };
}

/** The shell around planRuns: looks, decides, acts. Every act is one transaction that changes nothing when the run has moved on. */
export class Scheduler {
  private lastWatchMs = 0;
  private brokerAnswers = true;
  private readonly pulse: BrokerPulse;
  private readonly traces: Pick<RunTraces, 'dispatch'>;

  constructor(private readonly parts: SchedulerParts) {
    this.pulse = new BrokerPulse(parts.bus, parts.clock);
    this.traces = parts.traces ?? new RunTraces(NO_TRACER);
  }

  /** One look at everything this coordinator owns. */
  async tick(): Promise<void> {
    const { id, runs: book, registry, exclusions, options, clock } = this.parts;
    this.watchBroker();
    await this.writePresence();
    await book.claimOpen(id, options.leaseMs, options.maxRuns);
    const runs = await book.renew(id, options.leaseMs);
    const attempts = await book.liveAttempts(runs.map((run) => run.runId));
    const excluded = await exclusions.excluded();
    // Stopped since this look began, perhaps.
    this.noticeHoldUp();
    const actions = planRuns({
      nowMs: clock.now().getTime(),
      listeningSinceMs: registry.listeningSinceMs,
      workerLostMs: options.workerLostMs,
      stalledMs: options.stalledMs,
      runs,
      attempts,
      workers: registry.alive(),
      ...excluded,
      brokerAnswers: this.brokerAnswers,
    });
    const acts = await Promise.allSettled(actions.map((action) => this.act(action)));
    this.passOverLocked(acts.flatMap((act) => (act.status === 'rejected' ? [act.reason as unknown] : [])));
  }

  /** A run that another transaction has locked is looked at again in the next turn, as it is then; what else went wrong ends this one. */
  private passOverLocked(failures: readonly unknown[]): void {
    for (const err of failures) if (!(err instanceof LockTimeoutError)) throw err;
    const [err] = failures;
    if (err !== undefined)
      this.parts.logger.warn({ err, runs: failures.length }, 'runs are locked by other transactions: left as they are');
  }

  /** Without a broker that answers nobody is heard. To be called often, also while a look waits for the answers of workers. */
  watchBroker(): void {
    const { registry, options } = this.parts;
    this.noticeHoldUp();
    this.brokerAnswers = this.pulse.check() <= Math.min(BROKER_ANSWERS_WITHIN_MS, options.workerLostMs / 2);
    if (!this.brokerAnswers) registry.listenAnew();
  }

  /**
   * A process that was held up (stopped, suspended) has heard nobody: what was sent meanwhile may still wait to be read. Seen by the time since the
   * broker was last watched, which goes on during a look however long that takes; half the limit, because the last heartbeats are older than that.
   */
  private noticeHoldUp(): void {
    const { registry, options, clock } = this.parts;
    const nowMs = clock.now().getTime();
    if (nowMs - this.lastWatchMs > options.workerLostMs / 2) registry.listenAnew();
    this.lastWatchMs = nowMs;
  }

  async release(): Promise<void> {
    await this.parts.runs.release(this.parts.id);
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
        return await this.traces.dispatch(action.run.runId, { 'roentgen.worker.name': action.worker.name }, (span) =>
          this.offer(action, span),
        );
      case 'EXPLAIN_WAIT':
        return await this.parts.runs.explainWait(action.run.runId, this.ownerOf(action.run), action.wait);
      case 'LOSE_ATTEMPT':
        return await this.loseAttempt(action.run, action.attempt, action.loss);
      case 'STOP_ATTEMPT':
        return await this.stopAttempt(action);
      case 'SETTLE':
        await this.apply(action.run, { kind: 'ABANDONED', by: this.ownerOf(action.run) });
        return;
      default:
        return assertNever(action);
    }
  }

  /** The attempt's row comes first; a worker that refuses or does not answer loses it again at no charge. */
  private async offer({ run, worker, microBatchSize }: Extract<RunAction, { kind: 'OFFER' }>, span: Span): Promise<void> {
    const { registry, logger } = this.parts;
    const { workerId, name: workerName } = worker;
    const offered = { attemptId: newId('att'), token: randomUUID(), workerId, workerName };
    const opened = await this.apply(run, { kind: 'OFFER', by: this.ownerOf(run), attempt: offered, microBatchSize });
    if (!opened.ok || opened.state.attempt === null) return;
    const { number } = opened.state.attempt;
    span.set({ 'roentgen.attempt.id': offered.attemptId, 'roentgen.attempt.number': number });
    const recipe = microBatchSize === null ? run.recipe : { ...run.recipe, microBatchSize };
    const refusal = await this.askWorker({ ...run, recipe }, opened.state.attempt);
    if (refusal === null) {
      logger.info({ runId: run.runId, attemptId: offered.attemptId, worker: workerName, attempt: number }, 'attempt assigned');
      return;
    }
    logger.warn({ runId: run.runId, worker: workerName, refusal }, 'attempt was not taken');
    span.fail(refusal);
    registry.refused(workerId);
    await this.apply(run, { kind: 'REFUSED', by: this.ownerOf(run), attemptId: offered.attemptId, reason: refusal });
  }

  /** Null when the worker took the attempt, else why not. */
  private async askWorker(
    run: LeasedRun,
    { attemptId, generation, token, number, workerId }: Pick<LiveAttempt, 'attemptId' | 'generation' | 'token' | 'number' | 'workerId'>,
  ): Promise<string | null> {
    const { runId, projectId, recipe, dataset, checkpoint, initialWeights: weights } = run;
    const initialWeights = weights && { ...weights, objectKey: objectKeys.weights(projectId, weights.sha256) };
    const held = { runId, attemptId, generation, token };
    try {
      const reply = await this.parts.bus.request(
        AttemptOffer,
        [workerId],
        { ...held, projectId, attemptNumber: number, recipe, dataset, initialWeights, resumeFrom: checkpoint },
        { timeoutMs: REQUEST_TIMEOUT_MS },
      );
      return reply.accepted ? null : (reply.reason ?? 'the worker refused without a reason');
    } catch (thrown) {
      return coerceError(thrown).message;
    }
  }

  private async loseAttempt(run: LeasedRun, attempt: LiveAttempt, loss: Loss): Promise<void> {
    const lost = await this.apply(run, { kind: 'LOST', by: this.ownerOf(run), attemptId: attempt.attemptId, ...loss });
    if (!lost.ok) return;
    const { attemptId, workerName: worker } = attempt;
    this.parts.logger.warn({ runId: run.runId, attemptId, worker, ...loss, status: lost.state.status }, 'attempt lost');
  }

  /** Asked again at every tick until the worker's last event ends the attempt. */
  private async stopAttempt({ attempt, workerId, reason }: Extract<RunAction, { kind: 'STOP_ATTEMPT' }>): Promise<void> {
    const order = { attemptId: attempt.attemptId, token: attempt.token, reason };
    await this.parts.bus
      .request(AttemptStop, [workerId], order, { timeoutMs: REQUEST_TIMEOUT_MS })
      .catch((err: unknown) => this.parts.logger.warn({ err, runId: attempt.runId, workerId, reason }, 'the worker did not answer a stop'));
  }

  /** A run that was taken over or has moved on in the meantime stays as it is. */
  private async apply(run: LeasedRun, input: RunInput) {
    const { decision, events } = await this.parts.runs.apply(run.runId, input);
    this.parts.live.publish(events);
    return decision;
  }

  private ownerOf(run: LeasedRun) {
    return { coordinator: this.parts.id, generation: run.generation };
  }
}
