import { newId, type AttemptId, type HeldWait, type RunEventInput, type WorkerId, type WorkerRuntime } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { AttemptOffer, AttemptStop, RecordEvents, WorkerHeartbeat, type HeldAttempt } from '@roentgen/protocol';
import type { z } from 'zod';

export type Offer = z.infer<typeof AttemptOffer.schema>;

const HEARTBEAT_MS = 50;

/**
 * A worker that speaks the protocol and computes nothing: it takes what it is offered and says what the test tells it to. For tests of the
 * coordinator alone; whole-system tests run the real worker.
 */
export class ScriptedWorker {
  readonly workerId: WorkerId = newId('wkr');
  readonly stops: z.infer<typeof AttemptStop.schema>[] = [];
  /** Why it takes no attempt; null when it does. */
  refusal: string | null = null;
  /** What its heartbeats tell of how it computes. */
  runtime: WorkerRuntime | null = null;
  /** What it says that it works on besides. */
  chunks: z.infer<typeof WorkerHeartbeat.schema>['chunks'] = [];
  /** Why it says that it does not go on with what it holds. */
  waitsFor: HeldWait | null = null;
  /** Pieces of work that it says it finished, beside its facts. */
  finished = 0;
  private held: HeldAttempt | null = null;
  private readonly offers: Offer[] = [];
  private readonly waiting: ((offer: Offer) => void)[] = [];
  private timer: NodeJS.Timeout | undefined;
  /** Facts stated so far, by attempt: each attempt numbers its own. */
  private readonly stated = new Map<AttemptId, number>();

  private constructor(
    readonly bus: Bus,
    readonly name: string,
  ) {}

  static async start(
    name: string,
    connection: { servers: string[]; user: string; password: string; subjectPrefix: string },
  ): Promise<ScriptedWorker> {
    const bus = await Bus.connect({ ...connection, role: 'worker', name, startupTimeoutMs: 5_000 }, silentLogger);
    const worker = new ScriptedWorker(bus, name);
    bus.respond(AttemptOffer, [worker.workerId], async (offer) => worker.take(offer));
    bus.respond(AttemptStop, [worker.workerId], async (stop) => {
      worker.stops.push(stop);
      return { known: worker.held?.attemptId === stop.attemptId };
    });
    worker.talk();
    return worker;
  }

  /** Heartbeats again, after silence(). */
  talk(): void {
    this.timer ??= setInterval(() => this.beat(), HEARTBEAT_MS);
  }

  /** No more heartbeats: as if the process had been stopped. */
  silence(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** The next attempt that it is given. */
  nextOffer(): Promise<Offer> {
    const offer = this.offers.shift();
    return offer !== undefined ? Promise.resolve(offer) : new Promise((resolve) => this.waiting.push(resolve));
  }

  /** A fact about the attempt; the same object sent twice is the same fact. */
  fact(offer: Offer, kind: RunEventInput['kind'], rest: Partial<RunEventInput> = {}): RunEventInput {
    const number = (this.stated.get(offer.attemptId) ?? 0) + 1;
    this.stated.set(offer.attemptId, number);
    return {
      eventId: `${offer.attemptId}/${this.workerId}/${number}`,
      kind,
      occurredAt: new Date().toISOString(),
      attemptId: offer.attemptId,
      workerId: this.workerId,
      epoch: null,
      step: null,
      status: null,
      message: null,
      metrics: [],
      checkpoint: null,
      failure: null,
      ...rest,
    };
  }

  async report(offer: Offer, ...events: RunEventInput[]): Promise<number> {
    const { runId, attemptId, generation, token } = offer;
    const reply = await this.bus.request(
      RecordEvents,
      [this.workerId],
      { runId, attemptId, generation, token, workerId: this.workerId, events },
      { timeoutMs: 5_000 },
    );
    return reply.recorded;
  }

  /** Says that it holds nothing any more. */
  letGo(): void {
    this.held = null;
  }

  async close(): Promise<void> {
    this.silence();
    await this.bus.close();
  }

  private take(offer: Offer) {
    if (this.refusal !== null) return { accepted: false, reason: this.refusal };
    const { runId, attemptId, generation, token } = offer;
    this.held = { runId, attemptId, generation, token };
    const waiter = this.waiting.shift();
    if (waiter === undefined) this.offers.push(offer);
    else waiter(offer);
    return { accepted: true, reason: null };
  }

  private beat(): void {
    this.bus.publish(WorkerHeartbeat, [this.workerId], {
      workerId: this.workerId,
      name: this.name,
      version: 'test',
      device: 'cpu',
      deviceName: 'none',
      state: this.held === null ? 'IDLE' : 'TRAINING',
      holding: this.held,
      waiting: this.waitsFor,
      chunks: this.chunks,
      progressCounter: [...this.stated.values()].reduce((sum, count) => sum + count, this.finished),
      startedAt: new Date(0).toISOString(),
      residentBytes: 0,
      runtime: this.runtime,
    });
  }
}
