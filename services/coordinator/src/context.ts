import {
  ChunkStore,
  ChunkWorkStore,
  Database,
  EventStore,
  FinishedRunLog,
  JanitorPassStore,
  JanitorWorkStore,
  ObjectReferenceStore,
  ObjectRemovalStore,
  RecorderStore,
  RefusedBatchStore,
  RunLeaseStore,
  WeightSetStore,
  RunLifecycleStore,
  RunSummaryStore,
  WorkerExclusionStore,
  WorkerPresenceStore,
} from '@roentgen/database';
import { newId, systemClock, type Clock, type CoordinatorId, type ObjectStore } from '@roentgen/domain';
import { createLogger, type Logger } from '@roentgen/logger';
import { Bus, observeBus } from '@roentgen/messaging';
import { S3ObjectInventory, S3ObjectStore } from '@roentgen/storage';
import type { CoordinatorConfig } from './config.js';
import { Metrics, Readiness, createTracer, packageVersion, type Tracer } from '@roentgen/telemetry';
import { Janitor } from './janitor/janitor.js';
import { CoordinatorMetrics } from './observability/coordinator-metrics.js';
import { ObservedRunBook } from './observability/observed-run-book.js';
import { RunTraces } from './observability/run-traces.js';
import { LivePublisher } from './recording/live-publisher.js';
import { Recorder } from './recording/recorder.js';
import { PostgresRunBook } from './runs/postgres-run-book.js';
import { Scheduler } from './scheduling/scheduler.js';
import { WorkerRegistry } from './scheduling/worker-registry.js';
import { ChunkDesk } from './work/chunk-desk.js';
import { PredictionFinisher } from './work/prediction-finisher.js';

export interface CoordinatorContext {
  readonly id: CoordinatorId;
  readonly config: CoordinatorConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly database: Database;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  readonly registry: WorkerRegistry;
  readonly recorder: Recorder;
  readonly scheduler: Scheduler;
  readonly presence: WorkerPresenceStore;
  readonly chunks: ChunkDesk;
  readonly predictions: PredictionFinisher;
  readonly janitor: Janitor;
  readonly observed: Observed;
}

/** What operators see of a coordinator. */
export interface Observed {
  readonly registry: Metrics;
  readonly metrics: CoordinatorMetrics;
  readonly readiness: Readiness;
  readonly tracer: Tracer;
  readonly traces: RunTraces;
  readonly finishedRuns: FinishedRunLog;
}

/** A pass of the janitor stays this long with a coordinator that has gone silent; a step takes seconds. */
const JANITOR_LEASE_MS = 60_000;
const JANITOR_LIMITS = { pageSize: 1_000, maxFindings: 100_000 };

/** Puts the coordinator together; waits for Postgres, NATS and the store. @throws UnavailableError naming the part that is not there, MigrationMismatchError */
export async function createContext(config: CoordinatorConfig): Promise<CoordinatorContext> {
  const id = newId('crd');
  const logger = createLogger('coordinator', config.logLevel).child({ coordinatorId: id });
  const clock = systemClock;
  const { startupTimeoutMs } = config;
  const database = await Database.open({ ...config.postgres, startupTimeoutMs }, logger);
  const bus = await Bus.connect({ ...config.nats, role: 'coordinator', name: id, startupTimeoutMs }, logger);
  const objects = await S3ObjectStore.connect({ ...config.store, startupTimeoutMs }, logger);

  const events = new EventStore(database);
  const exclusions = new WorkerExclusionStore(database);
  const registry = new WorkerRegistry(config.scheduling.workerLostMs, clock);
  const observed = await observe({ id, config, logger, database, bus, objects, registry });
  const book = new PostgresRunBook({
    database,
    leases: new RunLeaseStore(database),
    lifecycle: new RunLifecycleStore(events, 'coordinator'),
    events,
    recorder: new RecorderStore(),
    exclusions,
    limits: { maxAttempts: config.scheduling.maxAttempts },
    workerFailures: config.scheduling.workerFailures,
    logger,
  });
  const { metrics, traces, finishedRuns } = observed;
  const runs = new ObservedRunBook(book, { metrics, traces, finished: finishedRuns });
  const live = new LivePublisher(bus, logger);
  const chunkStore = new ChunkStore(database);
  const chunkWork = new ChunkWorkStore(database);
  const presence = new WorkerPresenceStore(database);
  const removals = new ObjectRemovalStore(database);
  return {
    id,
    config,
    logger,
    clock,
    database,
    bus,
    objects,
    registry,
    presence,
    recorder: new Recorder({ runs, live, refused: new RefusedBatchStore(database), logger }),
    scheduler: new Scheduler({
      id,
      runs,
      bus,
      live,
      registry,
      exclusions,
      presence,
      clock,
      logger,
      traces,
      options: config.scheduling,
    }),
    chunks: new ChunkDesk({
      database,
      bus,
      registry,
      chunks: chunkStore,
      work: chunkWork,
      weights: new WeightSetStore(database),
      removals,
      objects,
      logger,
      clock,
      options: config.work,
    }),
    predictions: new PredictionFinisher({ work: chunkWork, objects, logger }),
    janitor: new Janitor({
      id,
      database,
      passes: new JanitorPassStore(database),
      removals,
      work: new JanitorWorkStore(database),
      references: new ObjectReferenceStore(database),
      inventory: new S3ObjectInventory(config.store),
      objects,
      clock,
      logger,
      options: { ...config.janitor, ...JANITOR_LIMITS, leaseMs: JANITOR_LEASE_MS },
    }),
    observed,
  };
}

type Outside = Pick<CoordinatorContext, 'id' | 'config' | 'logger' | 'database' | 'bus' | 'objects' | 'registry'>;

async function observe({ id, config, logger, database, bus, objects, registry: workers }: Outside): Promise<Observed> {
  const version = packageVersion(new URL('../package.json', import.meta.url));
  const onError = (reason: string) => logger.warn({ reason }, 'traces could not be sent');
  const tracer = await createTracer({ endpoint: config.tracesTo, service: 'coordinator', version, instance: id, onError });
  const registry = new Metrics({ service: 'coordinator', version });
  const summaries = new RunSummaryStore(database);
  const metrics = new CoordinatorMetrics(registry, { openRuns: () => summaries.openRuns(), workers: () => workers.alive() });
  observeBus(bus, registry);
  const readiness = new Readiness();
  readiness.watch([
    { name: 'postgres', needed: true, check: () => database.query('readiness', 'select 1').then(() => database.checkRoom()) },
    { name: 'nats', needed: true, check: () => bus.flush() },
    { name: 'store', needed: true, check: () => objects.check() },
  ]);
  const finishedRuns = new FinishedRunLog(summaries, logger, (event, summary) => metrics.runFinished(event, summary?.cause ?? null));
  return { registry, metrics, readiness, tracer, traces: new RunTraces(tracer), finishedRuns };
}
