import { RoentgenError, coerceError, type RunEventInput } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { deferred, type Deferred } from './deferred.js';

export interface OutboxOptions {
  /** Sends events to the recorder and resolves when they are recorded. */
  readonly send: (events: RunEventInput[]) => Promise<unknown>;
  /** `<attempt>/<worker>`: what the event ids of this producer start with. */
  readonly producer: string;
  /** The recorder will never take these events: the attempt belongs to another, or they break a rule. Called once; the outbox is closed by then. */
  readonly onRefused: (error: Error) => void;
  readonly logger: Logger;
  /** Told why the recorder takes nothing, and null when it does again. */
  readonly onHeldUp?: (cause: Error | null) => void;
  readonly flushDelayMs?: number;
  readonly batchSize?: number;
  /** Events that may wait before whoever adds another one has to wait, too. */
  readonly capacity?: number;
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
}

type UnnumberedEvent = Omit<RunEventInput, 'eventId'>;

/** Of the broker, before anybody has seen them. */
const TOO_LARGE = 'MESSAGE_TOO_LARGE';

/** Answers after which the same events would be refused again. */
const FINAL_CODES = new Set([
  'STALE_TOKEN',
  'INVALID_MESSAGE',
  'UNKNOWN_MESSAGE_VERSION',
  'INVALID_INPUT',
  'NOT_FOUND',
  'CONFLICT',
  'FORBIDDEN',
  TOO_LARGE,
]);
const DEFAULTS = { flushDelayMs: 100, batchSize: 200, capacity: 10_000, firstRetryMs: 250, longestRetryMs: 5_000 };

/**
 * The events of one attempt on their way to the recorder: numbered once, sent in order, one batch at a time, kept until the answer. A broker or
 * coordinator that is away costs nothing but time; a full outbox makes the training wait, so memory stays bounded.
 */
export class EventOutbox {
  private readonly options: OutboxOptions & typeof DEFAULTS;
  private events: RunEventInput[] = [];
  private added = 0;
  private sending = false;
  private closed = false;
  private urgent = false;
  private flushTimer: NodeJS.Timeout | null = null;
  private wakeFromPause: () => void = () => undefined;
  private room: Deferred<void> | null = null;
  private drainedSignal: Deferred<void> | null = null;

  constructor(options: OutboxOptions) {
    this.options = { ...DEFAULTS, ...options };
  }

  /** How many events are not confirmed yet. */
  get pending(): number {
    return this.events.length;
  }

  /** Takes the event over; resolves when there is room for the next one. Once closed, events are dropped. */
  async add(event: UnnumberedEvent): Promise<void> {
    if (this.closed) return;
    this.added++;
    this.events.push({ ...event, eventId: `${this.options.producer}/${this.added}` });
    this.schedule();
    if (this.events.length < this.options.capacity) return;
    if (this.room === null) {
      this.options.logger.warn(
        { pending: this.events.length },
        'the recorder does not answer and the event outbox is full: training is held up',
      );
      this.room = deferred();
    }
    await this.room.promise;
  }

  /** Resolves when every event is confirmed, or the outbox is closed. Sends without waiting for a batch to fill. */
  async drained(): Promise<void> {
    if (this.events.length === 0 || this.closed) return;
    this.urgent = true;
    this.schedule();
    this.drainedSignal ??= deferred();
    await this.drainedSignal.promise;
  }

  /** Tries again now instead of after the pause: the connection is back. */
  retryNow(): void {
    this.wakeFromPause();
  }

  /** Drops what is not confirmed. */
  close(): void {
    this.closed = true;
    this.events = [];
    if (this.flushTimer) clearTimeout(this.flushTimer);
    this.wakeFromPause();
    this.room?.resolve();
    this.drainedSignal?.resolve();
  }

  private schedule(): void {
    if (this.sending || this.closed || this.events.length === 0) return;
    if (this.urgent || this.events.length >= this.options.batchSize) {
      this.flush();
    } else this.flushTimer ??= setTimeout(() => this.flush(), this.options.flushDelayMs);
  }

  private flush(): void {
    if (this.flushTimer) clearTimeout(this.flushTimer);
    this.flushTimer = null;
    void this.sendOne();
  }

  /** Sends the oldest events until they are confirmed or refused. */
  private async sendOne(): Promise<void> {
    this.sending = true;
    let batch = this.events.slice(0, this.options.batchSize);
    let refusal = await this.deliver(batch);
    // Each may well be small enough: how large they are together depends on what they say.
    while (batch.length > 1 && refusal instanceof RoentgenError && refusal.code === TOO_LARGE && !this.closed) {
      batch = batch.slice(0, Math.ceil(batch.length / 2));
      refusal = await this.deliver(batch);
    }
    this.sending = false;
    if (this.closed) return;
    if (refusal) {
      this.close();
      this.options.onRefused(refusal);
      return;
    }
    this.events.splice(0, batch.length);
    if (this.room && this.events.length < this.options.capacity) {
      this.options.logger.info({ pending: this.events.length }, 'the recorder answers again: training goes on');
      this.room.resolve();
      this.room = null;
    }
    if (this.events.length === 0) {
      this.urgent = false;
      this.drainedSignal?.resolve();
      this.drainedSignal = null;
    }
    this.schedule();
  }

  /** Null when the batch is confirmed, the error when it never will be. */
  private async deliver(batch: RunEventInput[]): Promise<Error | null> {
    const { send, logger, firstRetryMs, longestRetryMs } = this.options;
    for (let pauseMs = firstRetryMs; ; pauseMs = Math.min(pauseMs * 2, longestRetryMs)) {
      try {
        await send(batch);
        this.options.onHeldUp?.(null);
        return null;
      } catch (thrown) {
        const error = coerceError(thrown);
        if (error instanceof RoentgenError && FINAL_CODES.has(error.code)) return error;
        if (this.closed) return null;
        this.options.onHeldUp?.(error);
        logger.warn({ err: error, pending: this.events.length, pauseMs }, 'events could not be recorded and are sent again');
        await this.pause(pauseMs);
        if (this.closed) return null;
      }
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeFromPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
