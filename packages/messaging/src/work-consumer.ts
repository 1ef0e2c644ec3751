import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, ConsumerMessages, JetStreamClient, JsMsg } from 'nats';
import { coerceError, type ChunkId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { ChunkAvailable, decodeMessage, type ChunkKind } from '@roentgen/protocol';
import type { ConnectionWatch } from './connection-watch.js';

export interface ChunkNotice {
  readonly chunkId: ChunkId;
  readonly kind: ChunkKind;
}

export interface Delivery {
  /** 1 for the first delivery of this message. */
  readonly deliveries: number;
  /** Puts off redelivery: to be called more often than every 60 s while a handler runs. */
  working(): void;
}

/** `ack`: done with, `term`: never again, `nakAfterMs`: to anyone, in so many milliseconds. */
export type Verdict = 'ack' | 'term' | { readonly nakAfterMs: number };

export type WorkHandler = (notice: ChunkNotice, delivery: Delivery) => Promise<Verdict>;

export interface WorkConsumer {
  /** Takes no more work. What is delivered by a pull already under way goes back to the queue at once. */
  pause(): void;
  resume(): void;
  /** Takes no more work and waits for running handlers. Idempotent. */
  close(): Promise<void>;
}

/** How long one pull waits at the broker. */
const PULL_EXPIRES_MS = 15_000;
const RETRY_MS = 500;
const NAK_AFTER_THROW_MS = 1_000;

/**
 * Takes work from one durable consumer in `concurrency` lanes. A lane pulls one message only when it is free to handle it: a message fetched
 * ahead would run into its ack_wait unseen while another worker stands idle.
 */
export class PullWorkConsumer implements WorkConsumer {
  private readonly lanes: Array<Promise<void>>;
  private readonly pulls = new Set<ConsumerMessages>();
  private readonly closing = new AbortController();
  private readonly closed = rejectionOf(this.closing.signal);
  private gate = openGate();
  private missing = false;

  constructor(
    private readonly jetstream: JetStreamClient,
    private readonly watch: ConnectionWatch,
    private readonly source: { readonly stream: string; readonly kind: ChunkKind },
    private readonly handler: WorkHandler,
    concurrency: number,
    private readonly logger: Logger,
  ) {
    this.lanes = Array.from({ length: concurrency }, () => this.lane());
  }

  pause(): void {
    if (!this.gate.isOpen) return;
    this.gate = closedGate();
  }

  resume(): void {
    const { gate } = this;
    this.gate = openGate();
    gate.open();
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.gate.open();
    for (const pull of this.pulls) void pull.close();
    await Promise.all(this.lanes);
  }

  private async lane(): Promise<void> {
    while (!this.closing.signal.aborted) {
      await this.gate.opened;
      if (this.closing.signal.aborted) return;
      for await (const message of this.pullOne()) {
        // Paused or closed while the pull was under way: another worker may have it at once.
        if (this.closing.signal.aborted || !this.gate.isOpen) message.nak();
        else await this.handle(message);
      }
    }
  }

  /** At most one message; none when the pull expired, or the broker or the consumer is not there, after waiting a little. */
  private async *pullOne(): AsyncGenerator<JsMsg> {
    let pull: ConsumerMessages | undefined;
    try {
      const consumer = await this.findConsumer();
      if (this.closing.signal.aborted) return;
      pull = await consumer.fetch({ max_messages: 1, expires: PULL_EXPIRES_MS });
      this.pulls.add(pull);
      this.noteFound();
      yield* pull;
    } catch (thrown) {
      this.noteMissing(coerceError(thrown));
      await delay(RETRY_MS, undefined, { signal: this.closing.signal }).catch(() => undefined);
    } finally {
      if (pull !== undefined) this.pulls.delete(pull);
    }
  }

  /** @throws when it is not there, the connection goes, or this is closed meanwhile */
  private async findConsumer(): Promise<Consumer> {
    const find = () => this.jetstream.consumers.get(this.source.stream, this.source.kind);
    const found = this.watch.whileConnected(find, () => new Error('there is no connection'));
    return Promise.race([found, this.closed]);
  }

  /** Exactly one of ack, nak and term, whatever happens. */
  private async handle(message: JsMsg): Promise<void> {
    const verdict = await this.verdictOn(message);
    if (verdict === 'ack') message.ack();
    else if (verdict === 'term') message.term();
    else message.nak(Math.max(1, verdict.nakAfterMs));
  }

  private async verdictOn(message: JsMsg): Promise<Verdict> {
    let notice: ChunkNotice;
    try {
      notice = decodeMessage(ChunkAvailable, message.data).payload;
    } catch (err) {
      this.logger.error({ err, subject: message.subject }, 'a message that cannot be read was taken off the work queue');
      return 'term';
    }
    try {
      return await this.handler(notice, { deliveries: message.info.deliveryCount, working: () => message.working() });
    } catch (err) {
      this.logger.error({ err, ...notice }, 'work failed; the message goes back to the queue');
      return { nakAfterMs: NAK_AFTER_THROW_MS };
    }
  }

  private noteFound(): void {
    if (this.missing) this.logger.info(this.source, 'the work queue is there again');
    this.missing = false;
  }

  private noteMissing(error: Error): void {
    if (!this.missing && !this.closing.signal.aborted) {
      this.logger.warn({ ...this.source, cause: error.message }, 'waiting for the work queue: a coordinator creates it when it starts');
    }
    this.missing = true;
  }
}

/** Rejects when the signal is given. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  const rejection = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('closed')), { once: true }));
  rejection.catch(() => undefined);
  return rejection;
}

/** Something to wait at until it is opened. */
interface Gate {
  readonly isOpen: boolean;
  readonly opened: Promise<void>;
  open(): void;
}

const openGate = (): Gate => ({ isOpen: true, opened: Promise.resolve(), open: () => undefined });

function closedGate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { isOpen: false, opened, open };
}
