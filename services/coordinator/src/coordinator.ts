import { assertNever } from '@roentgen/domain';
import type { Subscription } from '@roentgen/messaging';
import { ChunkClaim, ChunkResult, CoordinatorWake, RecordEvents, WorkerHeartbeat, WorkerRegistration } from '@roentgen/protocol';
import { HealthServer } from '@roentgen/telemetry';
import type { CoordinatorConfig } from './config.js';
import { createContext, type CoordinatorContext } from './context.js';
import { Loop } from './loop.js';

/** Requests of workers go to any one coordinator: rows fence them, so it does not matter which. */
const QUEUE_GROUP = 'coordinators';

/** Pause between two pings of the broker. */
const BROKER_WATCH_MS = 250;

type State = 'created' | 'started' | 'closed';

/** Schedules runs, records what workers report, hands out chunks. Any number of copies may run: rows decide who does what. */
export class Coordinator {
  private state: State = 'created';
  private readonly subscriptions: Subscription[] = [];
  private readonly loops: Loop[];
  private health: HealthServer | null = null;

  private constructor(private readonly context: CoordinatorContext) {
    const { scheduler, chunks, predictions, janitor, logger, config, observed } = context;
    const timed = (loop: string, turn: () => Promise<void>) =>
      new Loop(loop, config.tickMs, () => observed.metrics.turn(loop, turn), logger);
    // Often enough that a pause of this process can be told from that between two looks.
    const watchMs = Math.min(config.tickMs, BROKER_WATCH_MS, config.scheduling.workerLostMs / 5);
    this.loops = [
      timed('runs', () => scheduler.tick()),
      timed('chunks', () => chunks.announce()),
      new Loop('broker', watchMs, () => Promise.resolve(scheduler.watchBroker()), logger),
      timed('predictions', () => predictions.finishAll()),
      timed('janitor', () => janitor.turn()),
    ];
  }

  static async create(config: CoordinatorConfig): Promise<Coordinator> {
    return new Coordinator(await createContext(config));
  }

  async start(): Promise<void> {
    if (this.state !== 'created') throw new Error(`a coordinator starts once; this one is ${this.state}`);
    this.state = 'started';
    const { bus, registry, recorder, chunks, presence, logger, id, config, observed } = this.context;
    await bus.ensureWorkQueue();
    this.subscriptions.push(
      bus.subscribe(WorkerHeartbeat, [], (heartbeat) => registry.heard(heartbeat)),
      bus.respond(
        WorkerRegistration,
        [],
        async ({ workerId, selftest }) => {
          await presence.register(workerId, selftest);
          return { registered: true };
        },
        { queueGroup: QUEUE_GROUP },
      ),
      bus.subscribe(CoordinatorWake, [], ({ reason, runId }, { trace }) => {
        observed.traces.follow(runId, trace);
        this.wake(reason);
      }),
      bus.respond(RecordEvents, [], (batch) => recorder.record(batch), { queueGroup: QUEUE_GROUP }),
      bus.respond(ChunkClaim, [], (claim) => chunks.claim(claim), { queueGroup: QUEUE_GROUP }),
      bus.respond(ChunkResult, [], (result) => chunks.recordResult(result), { queueGroup: QUEUE_GROUP }),
    );
    bus.onReconnect(() => {
      registry.listenAnew();
      // A broker may come back without what it had stored.
      bus
        .ensureWorkQueue()
        .catch((err: unknown) => logger.error({ err }, 'the work queue could not be made anew; restart this coordinator'));
    });
    this.health = await HealthServer.start(config.health, { readiness: observed.readiness, metrics: observed.registry });
    for (const loop of this.loops) loop.start();
    observed.readiness.started();
    logger.info({ coordinatorId: id, healthUrl: this.healthUrl }, 'coordinator started');
  }

  /** Where health and metrics are; null where nobody asked for them. */
  get healthUrl(): string | null {
    return this.health?.url ?? null;
  }

  /** Stops taking requests, finishes what is under way, lets go of its runs. Idempotent. */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closed';
    const { observed } = this.context;
    observed.readiness.stopping();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    await Promise.all(this.loops.map((loop) => loop.stop()));
    const { scheduler, janitor, bus, database, logger } = this.context;
    await scheduler.release().catch((err: unknown) => logger.warn({ err }, 'leases were not released; they run out by themselves'));
    await janitor
      .release()
      .catch((err: unknown) => logger.warn({ err }, "the janitor's pass was not released; another goes on with it later"));
    await bus.close();
    await observed.finishedRuns.settled();
    await observed.tracer.close();
    await database.close();
    await this.health?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private wake(reason: 'run-queued' | 'run-control' | 'chunks-created'): void {
    const [runs, chunks] = this.loops;
    switch (reason) {
      case 'run-queued':
      case 'run-control':
        return runs?.wake();
      case 'chunks-created':
        return chunks?.wake();
      default:
        assertNever(reason);
    }
  }
}
