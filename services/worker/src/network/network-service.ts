import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@roentgen/logger';
import { observeBus, type Bus, type WorkConsumer } from '@roentgen/messaging';
import { AttemptOffer, AttemptStop, WorkerHeartbeat, WorkerRegistration, type ChunkOutcome, type ChunkWork } from '@roentgen/protocol';
import { InvalidInputError, type SelftestSummary } from '@roentgen/domain';
import { HealthServer, Metrics, Readiness } from '@roentgen/telemetry';
import type { WorkerConfig } from '../config.js';
import { AttemptObservation } from '../observability/attempt-observation.js';
import { WorkerMetrics, type WorkerState } from '../observability/worker-metrics.js';
import type { ComputeFunctions, DeviceInfo, Remote } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';
import { workerVersion } from '../worker-version.js';
import { Attempt } from './attempt.js';
import { AttemptDesk } from './attempt-desk.js';
import { ChunkDesk, type ChunkDeskOptions } from './chunk-desk.js';
import type { NetworkContext } from './context.js';
import { DecodedCache } from './decoded-cache.js';
import { Heartbeat } from './heartbeat.js';
import { ImageSource } from './image-source.js';
import { Inspector } from './inspector.js';
import { Limiter } from './limiter.js';
import { PredictionDesk } from './prediction-desk.js';
import { WeightsImporter } from './weights-importer.js';

const INSPECT_CHUNKS_AT_ONCE = 2;
/** When a chunk that came although this worker has no time for it may go to another. */
const NO_TIME_NAK_MS = 1_000;
const REGISTER_TIMEOUT_MS = 5_000;
const REGISTER_RETRY_MS = 500;
const LONGEST_REGISTER_RETRY_MS = 30_000;

/** Everything of a worker that is not compute: takes work from the broker, feeds the compute thread, tells how it goes. */
export class NetworkService {
  private readonly logger: Logger;
  private readonly bus: Bus;
  private readonly heartbeat: Heartbeat;
  private readonly attempts: AttemptDesk;
  private readonly chunks: ChunkDesk;
  private readonly inspector: Inspector;
  private readonly predictions: PredictionDesk;
  private readonly weights: WeightsImporter;
  private readonly images: ImageSource;
  private readonly startedAt = new Date().toISOString();
  private readonly version = workerVersion();
  private readonly registry = new Metrics({ service: 'worker', version: this.version });
  private readonly metrics = new WorkerMetrics(this.registry);
  private readonly readiness = new Readiness();
  private health: HealthServer | null = null;
  private device: DeviceInfo | null = null;
  private inspecting: WorkConsumer | null = null;
  private predicting: WorkConsumer | null = null;
  private importing: WorkConsumer | null = null;
  private predictingNow = false;
  private stopping = false;

  constructor(
    private readonly config: WorkerConfig,
    private readonly context: NetworkContext,
    private readonly compute: Remote<ComputeFunctions>,
    private readonly control: SharedControl,
  ) {
    const { logger, bus, store } = context;
    this.logger = logger;
    this.bus = bus;
    const cache = new DecodedCache(config.cacheBytes, (found) => this.metrics.cacheLookup(found));
    this.images = new ImageSource(store, cache, new Limiter(config.decodeConcurrency));
    this.heartbeat = new Heartbeat(() => this.beat(), config.heartbeatMs);
    const onOutcome: ChunkDeskOptions['onOutcome'] = (kind, outcome, seconds) => this.metrics.chunk(kind, outcome, seconds);
    const inHurry = () => this.stopping;
    this.chunks = new ChunkDesk({ bus, workerId: config.workerId, logger, onOutcome });
    this.inspector = new Inspector({ store, logger, inHurry, concurrency: config.decodeConcurrency });
    this.predictions = new PredictionDesk({ store, images: this.images, compute, logger, inHurry });
    this.weights = new WeightsImporter({ store, logger, inHurry, ...config.weights });
    this.attempts = this.createAttemptDesk();
    observeBus(bus, this.registry);
    this.metrics.watch({ state: () => this.state, outboxEvents: () => this.attempts.pendingEvents, cacheBytes: () => cache.bytes });
  }

  /** The held attempt. @throws AttemptEndedError when there is none (any more) */
  get attempt(): Attempt {
    return this.attempts.current;
  }

  /** Sends heartbeats and takes work from now on. */
  async start(device: DeviceInfo): Promise<void> {
    const { bus, config } = this;
    this.device = device;
    await this.serveHealth(device);
    bus.respond(AttemptOffer, [config.workerId], (offer, { trace }) => Promise.resolve(this.attempts.offer(offer, trace)));
    bus.respond(AttemptStop, [config.workerId], (stop) => Promise.resolve(this.attempts.stop(stop)));
    bus.onReconnect(() => {
      this.attempts.reconnected();
      this.heartbeat.now();
    });
    this.inspecting = await bus.consumeWork(
      'inspect',
      ({ chunkId }, delivery) => this.chunks.work(chunkId, delivery, (work) => this.inspect(work)),
      { concurrency: INSPECT_CHUNKS_AT_ONCE },
    );
    this.importing = await bus.consumeWork(
      'import-weights',
      ({ chunkId }, delivery) => this.chunks.work(chunkId, delivery, (work) => this.importWeights(work)),
      { concurrency: 1 },
    );
    if (device.runtime.ineligibleReason === null) this.predicting = await this.consumePredictions();
    this.heartbeat.start();
    this.readiness.started();
    if (device.selftest !== null) void this.register(device.selftest);
  }

  /** Refuses work, leaves the attempt at a step boundary, finishes chunks that were begun, says good-bye, disconnects. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.readiness.stopping();
    this.heartbeat.now();
    await Promise.all([this.attempts.close(), this.inspecting?.close(), this.predicting?.close(), this.importing?.close()]);
    this.heartbeat.now();
    this.heartbeat.stop();
    await this.bus.close();
    await this.context.tracer.close();
    await this.health?.close();
  }

  /** Where health and metrics are; null where nobody asked for them. */
  get healthUrl(): string | null {
    return this.health?.url ?? null;
  }

  private async serveHealth({ runtime, selftest }: DeviceInfo): Promise<void> {
    const { bus, readiness, registry, config } = this;
    const { ineligibleReason } = runtime;
    const eligibility = () => (ineligibleReason === null ? Promise.resolve() : Promise.reject(new Error(ineligibleReason)));
    readiness.watch([
      { name: 'nats', needed: true, check: () => bus.flush() },
      { name: 'store', needed: true, check: () => this.context.store.check() },
      { name: 'selftest', needed: true, check: eligibility },
    ]);
    this.metrics.machine(selftest, ineligibleReason === null);
    this.health = await HealthServer.start(config.health, { readiness, metrics: registry });
  }

  private get state(): WorkerState {
    if (this.stopping) return 'STOPPING';
    if (this.attempts.held !== null) return 'TRAINING';
    return this.predictingNow ? 'PREDICTING' : 'IDLE';
  }

  private consumePredictions(): Promise<WorkConsumer> {
    return this.bus.consumeWork(
      'predict',
      async ({ chunkId }, delivery) => {
        if (this.attempts.held || this.stopping) return { nakAfterMs: NO_TIME_NAK_MS };
        this.predictingNow = true;
        try {
          return await this.chunks.work(chunkId, delivery, (work) => this.predict(work));
        } finally {
          this.predictingNow = false;
        }
      },
      { concurrency: 1 },
    );
  }

  /** Readers want the self-test, nobody waits for it: so it is sent beside the work until a coordinator has it. */
  private async register(selftest: SelftestSummary): Promise<void> {
    const { bus, config, logger } = this;
    for (let pauseMs = REGISTER_RETRY_MS; !this.stopping; pauseMs = Math.min(2 * pauseMs, LONGEST_REGISTER_RETRY_MS)) {
      try {
        await bus.request(
          WorkerRegistration,
          [config.workerId],
          { workerId: config.workerId, selftest },
          { timeoutMs: REGISTER_TIMEOUT_MS },
        );
        return;
      } catch (err) {
        if (this.stopping) return;
        logger.warn({ err, pauseMs }, 'no coordinator took the registration; it is sent again');
        await sleep(pauseMs, undefined, { ref: false });
      }
    }
  }

  private createAttemptDesk(): AttemptDesk {
    const { control, logger, bus, images, compute, config } = this;
    const { store, tracer } = this.context;
    const { workerId, prefetchBatches } = config;
    return new AttemptDesk({
      control,
      logger,
      newAttempt: (work, trace) => {
        const observer = new AttemptObservation(tracer, this.metrics, work, trace);
        return new Attempt({ work, workerId, bus, store, images, control, prefetchBatches, observer, logger });
      },
      train: (work) => compute.runAttempt(work),
      otherwiseBusy: () => this.device?.runtime.ineligibleReason ?? (this.predictingNow ? 'this worker is predicting.' : null),
      onHeld: () => {
        this.predicting?.pause();
        this.heartbeat.now();
      },
      onReleased: () => {
        if (!this.stopping) this.predicting?.resume();
        this.heartbeat.now();
      },
    });
  }

  private inspect(work: ChunkWork): Promise<ChunkOutcome> {
    if (work.kind === 'inspect') return this.inspector.inspect(work);
    throw new InvalidInputError(`the chunk came from the inspect queue, its work is "${work.kind}".`);
  }

  private importWeights(work: ChunkWork): Promise<ChunkOutcome> {
    if (work.kind === 'import-weights') return this.weights.import(work);
    throw new InvalidInputError(`the chunk came from the import-weights queue, its work is "${work.kind}".`);
  }

  private predict(work: ChunkWork): Promise<ChunkOutcome> {
    if (work.kind === 'predict') return this.predictions.predict(work);
    throw new InvalidInputError(`the chunk came from the predict queue, its work is "${work.kind}".`);
  }

  private beat(): void {
    if (this.device === null) return;
    const { device, deviceName, runtime } = this.device;
    const { workerId, name } = this.config;
    const { held } = this.attempts;
    const { state } = this;
    this.bus.publish(WorkerHeartbeat, [workerId], {
      workerId,
      name,
      version: this.version,
      ...{ device, deviceName, runtime },
      state,
      holding: held,
      waiting: this.attempts.waiting,
      chunks: this.chunks.holding,
      progressCounter: this.control.progress,
      startedAt: this.startedAt,
      residentBytes: process.memoryUsage.rss(),
    });
  }
}
