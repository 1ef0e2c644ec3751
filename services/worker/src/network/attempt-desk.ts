import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { checkTrainingRecipe, type HeldWait } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { AttemptOffer, AttemptStop, HeldAttempt } from '@roentgen/protocol';
import type { TraceParent } from '@roentgen/telemetry';
import { AttemptEndedError } from '../errors.js';
import type { AttemptWork } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';
import type { Attempt } from './attempt.js';
import { deferred } from './deferred.js';

type Offer = z.infer<typeof AttemptOffer.schema>;
type OfferReply = z.infer<typeof AttemptOffer.reply>;
type Stop = z.infer<typeof AttemptStop.schema>;

/** What the desk needs to know of an attempt. */
export type DeskAttempt = Pick<Attempt, 'held' | 'waiting' | 'outbox' | 'abandon' | 'close'>;

export interface AttemptDeskOptions<A extends DeskAttempt> {
  readonly control: SharedControl;
  readonly logger: Logger;
  /** @param trace what the offer is a part of */
  readonly newAttempt: (work: AttemptWork, trace: TraceParent | null) => A;
  /** Trains on the compute thread; resolves when it has left the attempt. */
  readonly train: (work: AttemptWork) => Promise<void>;
  /** Why the compute thread has no time for an attempt; null when it has. */
  readonly otherwiseBusy: () => string | null;
  readonly onHeld: () => void;
  readonly onReleased: () => void;
}

/** How long a stopping worker tries to get its last events recorded. */
const LAST_EVENTS_MS = 10_000;

/** Takes and leaves attempts, one at a time. */
export class AttemptDesk<A extends DeskAttempt = Attempt> {
  private attempt: A | null = null;
  private ended: Promise<void> = Promise.resolve();
  private readonly closing = deferred<void>();
  private closed = false;

  constructor(private readonly options: AttemptDeskOptions<A>) {}

  get held(): HeldAttempt | null {
    return this.attempt?.held ?? null;
  }

  /** Why the held attempt does not go on; null when it does. */
  get waiting(): HeldWait | null {
    return this.attempt?.waiting ?? null;
  }

  /** Events that are not recorded yet. */
  get pendingEvents(): number {
    return this.attempt?.outbox.pending ?? 0;
  }

  /** The held attempt. @throws AttemptEndedError when there is none (any more) */
  get current(): A {
    if (this.attempt === null) throw new AttemptEndedError('this worker holds no attempt.');
    return this.attempt;
  }

  offer(offer: Offer, trace: TraceParent | null = null): OfferReply {
    // Offered again because our answer got lost.
    if (this.attempt?.held.attemptId === offer.attemptId && this.attempt.held.token === offer.token)
      return { accepted: true, reason: null };
    const reason = this.reasonToRefuse();
    if (reason !== null) return { accepted: false, reason };
    const checked = checkTrainingRecipe(offer.recipe);
    if (!checked.ok)
      return {
        accepted: false,
        reason: `INVALID_RECIPE: ${checked.issues.map(({ field, message }) => `${field}: ${message}`).join('; ')}`,
      };
    this.ended = this.hold({ ...offer, recipe: checked.recipe }, trace);
    return { accepted: true, reason: null };
  }

  stop({ attemptId, token, reason }: Stop): { known: boolean } {
    const { attempt } = this;
    if (attempt?.held.attemptId !== attemptId || attempt.held.token !== token) return { known: false };
    if (reason === 'SUPERSEDED') attempt.abandon('the coordinator gave it to another worker');
    // A drained worker leaves its attempt as one that shuts down does.
    else this.options.control.requestStop(reason === 'DRAIN' ? 'STOPPING' : reason);
    return { known: true };
  }

  /** The connection is back: events that wait for their next try go now. */
  reconnected(): void {
    this.attempt?.outbox.retryNow();
  }

  /** Refuses attempts from now on and leaves the held one at its next step boundary. Resolves when it is left and its events are out, or time is up. */
  async close(): Promise<void> {
    this.closed = true;
    this.closing.resolve();
    if (this.attempt) this.options.control.requestStop('STOPPING');
    await this.ended;
  }

  private reasonToRefuse(): string | null {
    if (this.closed) return 'STOPPING: this worker is shutting down.';
    if (this.attempt) return `BUSY: this worker trains ${this.attempt.held.runId} (attempt ${this.attempt.held.attemptId}).`;
    const other = this.options.otherwiseBusy();
    return other === null ? null : `BUSY: ${other}`;
  }

  private async hold(work: AttemptWork, trace: TraceParent | null): Promise<void> {
    const { control, logger, newAttempt, train, onHeld, onReleased } = this.options;
    control.clearStop();
    const attempt = newAttempt(work, trace);
    this.attempt = attempt;
    onHeld();
    logger.info(
      { runId: work.runId, attemptId: work.attemptId, attemptNumber: work.attemptNumber, resumed: work.resumeFrom !== null },
      'attempt accepted',
    );
    try {
      await train(work);
      // Held until the last event is recorded: a coordinator that sees a worker let go before it knows the outcome takes the attempt for lost.
      await this.lastEvents(attempt);
    } catch (err) {
      logger.error({ err, runId: work.runId }, 'the compute thread did not answer for the attempt');
    } finally {
      attempt.close();
      this.attempt = null;
      logger.info({ runId: work.runId, attemptId: work.attemptId }, 'attempt left');
      onReleased();
    }
  }

  private async lastEvents(attempt: A): Promise<void> {
    const timer = new AbortController();
    const timeIsUp = this.closing.promise.then(() => sleep(LAST_EVENTS_MS, undefined, { signal: timer.signal }).catch(() => undefined));
    await Promise.race([attempt.outbox.drained(), timeIsUp]);
    timer.abort();
    if (attempt.outbox.pending > 0)
      this.options.logger.error({ pending: attempt.outbox.pending }, 'the last events could not be recorded in time');
  }
}
