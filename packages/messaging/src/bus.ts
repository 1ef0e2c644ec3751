import { setTimeout as delay } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import type { Msg, NatsConnection, Subscription as NatsSubscription } from 'nats';
import { UnavailableError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { TraceParent } from '@roentgen/telemetry';
import {
  ChunkAvailable,
  decodeMessage,
  decodeReply,
  encodeMessage,
  type ChunkKind,
  type Envelope,
  type Message,
  type Request,
} from '@roentgen/protocol';
import { connectWithin, type BusOptions } from './connection.js';
import { ConnectionWatch } from './connection-watch.js';
import { NoRespondersError, RemoteError, translateError, type BusOperation } from './errors.js';
import { respondTo } from './responder.js';
import { Subjects, streamName } from './subjects.js';
import { traceHeaders, traceOf } from './trace-headers.js';
import { PullWorkConsumer, type ChunkNotice, type WorkConsumer, type WorkHandler } from './work-consumer.js';
import { ensureWorkQueue } from './work-queue.js';

/** What came with a payload. `tokens` are the words that the sender put into the subject. */
export interface MessageMeta {
  readonly tokens: readonly string[];
  readonly messageId: string;
  readonly sentAt: string;
  /** What the sender was working on, where that is traced. */
  readonly trace: TraceParent | null;
}

export interface Subscription {
  unsubscribe(): void;
}

const PUBLISH_ACK_TIMEOUT_MS = 5_000;
const DRAIN_TIMEOUT_MS = 5_000;
/** A handler that takes longer does not keep the process from ending. */
const HANDLERS_TIMEOUT_MS = 10_000;

/** One connection to the broker: typed messages in and out, and the work queue. Reconnects for as long as it is not closed. */
export class Bus {
  private readonly subjects: Subjects;
  private readonly subscriptions = new Set<NatsSubscription>();
  private readonly handlers = new Set<Promise<void>>();
  private readonly workConsumers = new Set<WorkConsumer>();
  private readonly watch: ConnectionWatch;
  private closing: Promise<void> | null = null;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly options: BusOptions,
    private readonly logger: Logger,
  ) {
    this.subjects = new Subjects(options.subjectPrefix);
    this.watch = new ConnectionWatch(connection, logger);
  }

  /** @throws UnavailableError when no broker answers within `startupTimeoutMs`, or it refuses the user */
  static async connect(options: BusOptions, logger: Logger): Promise<Bus> {
    return new Bus(await connectWithin(options, logger), options, logger);
  }

  get connected(): boolean {
    return this.watch.connected;
  }

  /**
   * Sends and forgets. While disconnected the message is dropped: every message sent this way is one that its receiver can do without.
   * @throws InvalidMessageError, MessageTooLargeError
   */
  publish<A extends readonly string[], P>(message: Message<string, A, P>, tokens: A, payload: NoInfer<P>): void {
    const subject = this.subjects.of(message.subject(...tokens));
    const bytes = encodeMessage(message, payload, newEnvelope());
    if (!this.connected) {
      this.logger.debug({ subject }, 'not connected: message dropped');
      return;
    }
    try {
      this.connection.publish(subject, bytes, traceHeaders());
    } catch (thrown) {
      throw translateError(thrown, this.operation(message.name, subject, { bytes: bytes.length }));
    }
  }

  /**
   * Receives from the senders that `tokens` name (all of them for a token left out). Messages that cannot be read are logged and dropped, as
   * are a handler's errors. Handlers are started in the order of arrival and not waited for.
   */
  subscribe<A extends readonly string[], P>(
    message: Message<string, A, P>,
    tokens: Partial<A>,
    handler: (payload: P, meta: MessageMeta) => void | Promise<void>,
    options: { readonly queueGroup?: string } = {},
  ): Subscription {
    return this.listen(message, tokens, options, async (raw) => {
      const envelope = decodeMessage(message, raw.data);
      await handler(envelope.payload, this.metaOf(message, raw, envelope));
    });
  }

  /**
   * Asks and waits for the answer.
   * @throws BusTimeoutError, NoRespondersError, RemoteError with the other side's code, UnavailableError when there is no connection or it
   * breaks meanwhile, InvalidMessageError
   */
  async request<A extends readonly string[], P, R>(
    request: Request<string, A, P, R>,
    tokens: A,
    payload: NoInfer<P>,
    options: { readonly timeoutMs: number },
  ): Promise<R> {
    const subject = this.subjects.of(request.subject(...tokens));
    const bytes = encodeMessage(request, payload, newEnvelope());
    const operation = this.operation(request.name, subject, { bytes: bytes.length, timeoutMs: options.timeoutMs });
    const answer = await this.whileConnected(
      () => this.connection.request(subject, bytes, { timeout: options.timeoutMs, ...traceHeaders() }),
      operation,
    );
    const reply = decodeReply(request, answer.data);
    if (reply.ok) return reply.payload;
    throw new RemoteError(reply.error.code, reply.error.message, { request: request.name });
  }

  /** Answers requests. A RoentgenError reaches the sender as its code and message; any other error as INTERNAL, and is logged. */
  // `const` keeps `{ granted: false }` of an inline handler from widening to boolean.
  respond<A extends readonly string[], P, R, const H extends R>(
    request: Request<string, A, P, R>,
    tokens: Partial<A>,
    handler: (payload: P, meta: MessageMeta) => Promise<H>,
    options: { readonly queueGroup?: string } = {},
  ): Subscription {
    const operation = this.operation(request.name, this.subjects.of(request.pattern(...tokens)), {});
    return this.listen(request, tokens, options, (raw) =>
      respondTo(request, raw, (envelope) => handler(envelope.payload, this.metaOf(request, raw, envelope)), operation, this.logger),
    );
  }

  /** Creates the work queue or brings it up to date. For coordinators: other roles may not. @throws UnavailableError, BusPermissionError */
  async ensureWorkQueue(): Promise<void> {
    const operation = this.operation('work queue set-up', '$JS.API', {});
    await this.whileConnected(() => ensureWorkQueue(this.connection, this.options.subjectPrefix, this.subjects), operation);
  }

  /**
   * Puts a chunk on the work queue and waits until the broker has it. The same `messageId` within two minutes is stored once.
   * @throws UnavailableError when the broker or the queue is not there, BusTimeoutError
   */
  async enqueue(payload: ChunkNotice, messageId: string): Promise<void> {
    const subject = this.subjects.of(ChunkAvailable.subject(payload.kind));
    const bytes = encodeMessage(ChunkAvailable, payload, { messageId, sentAt: new Date() });
    const operation = this.operation(ChunkAvailable.name, subject, { timeoutMs: PUBLISH_ACK_TIMEOUT_MS });
    const publish = () => this.connection.jetstream().publish(subject, bytes, { msgID: messageId, timeout: PUBLISH_ACK_TIMEOUT_MS });
    try {
      await this.whileConnected(publish, operation);
    } catch (error) {
      if (!(error instanceof NoRespondersError)) throw error;
      throw new UnavailableError(
        `There is no work queue "${streamName(this.options.subjectPrefix)}": a coordinator creates it at its start.`,
        { subject },
        { cause: error },
      );
    }
  }

  /** Takes chunks of one kind, at most `concurrency` at a time. Waits for a queue that is not there yet. */
  consumeWork(kind: ChunkKind, handler: WorkHandler, options: { readonly concurrency: number }): Promise<WorkConsumer> {
    const source = { stream: streamName(this.options.subjectPrefix), kind };
    const consumer = new PullWorkConsumer(this.connection.jetstream(), this.watch, source, handler, options.concurrency, this.logger);
    this.workConsumers.add(consumer);
    return Promise.resolve(consumer);
  }

  /** Calls back after each reconnection, once subscriptions stand again: messages sent in between are lost. Returns the way to stop it. */
  onReconnect(listener: () => void): () => void {
    return this.watch.onReconnect(listener);
  }

  /**
   * Resolves when the broker has taken everything that was published and subscribed before: from then on no message is missed.
   * @throws UnavailableError when there is no connection or it breaks meanwhile
   */
  async flush(): Promise<void> {
    await this.whileConnected(() => this.connection.flush(), this.operation('flush', '(connection)', {}));
  }

  /** Takes nothing more, lets running handlers finish and answer (10 s at most; work is waited for), flushes and disconnects. Idempotent. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    await Promise.all([...this.workConsumers].map((consumer) => consumer.close()));
    await this.drainSubscriptions();
    await within(HANDLERS_TIMEOUT_MS, Promise.all(this.handlers));
    if (this.connected) await within(DRAIN_TIMEOUT_MS, this.connection.drain());
    await this.connection.close();
  }

  private async drainSubscriptions(): Promise<void> {
    // Draining waits for the broker, which does not answer while we are disconnected.
    if (!this.connected) return;
    const drained = [...this.subscriptions].filter((subscription) => !subscription.isClosed()).map((subscription) => subscription.drain());
    await within(DRAIN_TIMEOUT_MS, Promise.allSettled(drained));
  }

  private listen<A extends readonly string[], P>(
    message: Message<string, A, P>,
    tokens: Partial<A>,
    options: { readonly queueGroup?: string },
    take: (raw: Msg) => Promise<void>,
  ): Subscription {
    const subject = this.subjects.of(message.pattern(...tokens));
    const run = async (error: Error | null, raw: Msg) => {
      try {
        if (error !== null) throw error;
        await take(raw);
      } catch (thrown) {
        this.logger.error(
          { err: translateError(thrown, this.operation(message.name, subject, {})), subject },
          `${message.name} could not be handled`,
        );
      }
    };
    const subscription = this.connection.subscribe(subject, {
      ...(options.queueGroup === undefined ? {} : { queue: options.queueGroup }),
      callback: (error, raw) => this.track(run(error, raw)),
    });
    this.subscriptions.add(subscription);
    return { unsubscribe: () => this.unsubscribe(subscription) };
  }

  private unsubscribe(subscription: NatsSubscription): void {
    if (!this.subscriptions.delete(subscription) || subscription.isClosed()) return;
    subscription.unsubscribe();
  }

  private track(handling: Promise<void>): void {
    this.handlers.add(handling);
    void handling.finally(() => this.handlers.delete(handling));
  }

  private metaOf<A extends readonly string[], P>(message: Message<string, A, P>, raw: Msg, envelope: Envelope<P>): MessageMeta {
    return {
      tokens: this.subjects.tokensOf(message, raw.subject),
      messageId: envelope.messageId,
      sentAt: envelope.sentAt,
      trace: traceOf(raw.headers),
    };
  }

  private async whileConnected<T>(act: () => Promise<T>, operation: BusOperation): Promise<T> {
    const gone = () =>
      new UnavailableError(
        `${operation.what} was not answered: there is no connection to NATS at ${this.options.servers.join(', ')}. Reconnecting goes on; try again.`,
        { servers: this.options.servers },
      );
    try {
      return await this.watch.whileConnected(act, gone);
    } catch (thrown) {
      throw translateError(thrown, operation);
    }
  }

  private operation(what: string, subject: string, sizes: { timeoutMs?: number; bytes?: number }): BusOperation {
    return { what, subject, user: this.options.user, ...sizes };
  }
}

const newEnvelope = () => ({ messageId: randomUUID(), sentAt: new Date() });

async function within(ms: number, action: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([action.catch(() => undefined), delay(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}
