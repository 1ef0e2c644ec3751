// Before any decorator runs.
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import {
  ChunkStore,
  Database,
  DatasetStore,
  EventStore,
  FinishedRunLog,
  ForkStore,
  IdempotencyStore,
  JanitorPassStore,
  MetricStore,
  ModelStore,
  ObjectRemovalStore,
  PredictionStore,
  RunLifecycleStore,
  RunStore,
  RunSummaryStore,
  TokenStore,
  UploadStore,
  WeightSetStore,
  WorkerExclusionStore,
  WorkerStore,
} from '@roentgen/database';
import type { Actor, ObjectStore } from '@roentgen/domain';
import { createLogger, type Logger } from '@roentgen/logger';
import { Bus, observeBus } from '@roentgen/messaging';
import { S3ObjectStore } from '@roentgen/storage';
import { Metrics, Readiness, createTracer, packageVersion, type Tracer } from '@roentgen/telemetry';
import type { GatewayConfig } from './config.js';
import { createLoaders } from './graphql/loaders.js';
import type { RequestContext, Subscriptions } from './graphql/request-context.js';
import { AccessService } from './modules/access/access-service.js';
import { AccessResolver } from './modules/access/access.resolver.js';
import { Announcer } from './modules/announcer.js';
import { DatasetService } from './modules/dataset/dataset-service.js';
import { DatasetResolver, DatasetVersionResolver } from './modules/dataset/dataset.resolver.js';
import { FinalizeDataset } from './modules/dataset/finalize-dataset.js';
import { JanitorService } from './modules/janitor/janitor-service.js';
import { JanitorResolver } from './modules/janitor/janitor.resolver.js';
import { ModelService } from './modules/model/model-service.js';
import { ModelResolver } from './modules/model/model.resolver.js';
import { PredictionService } from './modules/prediction/prediction-service.js';
import { PredictionResolver } from './modules/prediction/prediction.resolver.js';
import { Repeatable } from './modules/repeatable.js';
import { ForkTrainingRun } from './modules/training-run/fork-training-run.js';
import { ForkOriginResolver, ForkResolver } from './modules/training-run/fork.resolver.js';
import { RunEventFeed } from './modules/training-run/run-event-feed.js';
import { RunEventSubscriptions } from './modules/training-run/run-event-subscriptions.js';
import { RunCommands } from './modules/training-run/run-commands.js';
import { StartTrainingRun } from './modules/training-run/start-training-run.js';
import { TrainingRunService } from './modules/training-run/training-run-service.js';
import { TrainingRunResolver } from './modules/training-run/training-run.resolver.js';
import { WaitingResolver } from './modules/training-run/waiting.resolver.js';
import { UploadService } from './modules/upload/upload-service.js';
import { UploadResolver } from './modules/upload/upload.resolver.js';
import { ImportWeights } from './modules/weight-set/import-weights.js';
import { WeightSetService } from './modules/weight-set/weight-set-service.js';
import { WeightSetResolver } from './modules/weight-set/weight-set.resolver.js';
import { WorkerFeed } from './modules/worker/worker-feed.js';
import { WorkerMemoryCheck } from './modules/worker/worker-memory-check.js';
import { ONLINE_WITHIN_MS, TOLD_FOR_MS, WorkerService } from './modules/worker/worker-service.js';
import { WorkerResolver } from './modules/worker/worker.resolver.js';
import { GatewayMetrics } from './observability/gateway-metrics.js';
import { OperationObserver, type ObservedOperation } from './observability/observed-operation.js';
import { buildGatewaySchema } from './schema.js';

/** The parts outside this process; tests may bring their own. */
export interface GatewayParts {
  readonly logger: Logger;
  readonly database: Database;
  readonly bus: Bus;
  readonly store: ObjectStore;
}

export interface GatewayContext extends GatewayParts {
  readonly access: AccessService;
  readonly feed: RunEventFeed;
  readonly workerFeed: WorkerFeed;
  readonly schema: GraphQLSchema;
  readonly requestContext: (actor: Actor, requestId: string, operation: ObservedOperation) => RequestContext;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly tracer: Tracer;
  readonly operations: OperationObserver;
  readonly finishedRuns: FinishedRunLog;
}

/** Connects to the parts that are not given. What was opened is closed again when a later one cannot be reached. */
export async function connectParts(config: GatewayConfig, overrides: Partial<GatewayParts> = {}): Promise<GatewayParts> {
  const { startupTimeoutMs } = config;
  const logger = overrides.logger ?? createLogger('gateway', config.logLevel);
  const database = overrides.database ?? (await Database.open({ ...config.postgres, startupTimeoutMs }, logger));
  let bus = overrides.bus;
  try {
    bus ??= await Bus.connect({ ...config.nats, role: 'gateway', name: 'gateway', startupTimeoutMs }, logger);
    const store = overrides.store ?? (await S3ObjectStore.connect({ ...config.store, startupTimeoutMs }, logger));
    return { logger, database, bus, store };
  } catch (thrown) {
    if (overrides.bus === undefined) await bus?.close();
    if (overrides.database === undefined) await database.close();
    throw thrown;
  }
}

/** The one place where the gateway is put together. */
export async function createContext(parts: GatewayParts, config: Pick<GatewayConfig, 'tracesTo'>): Promise<GatewayContext> {
  const { database, bus, store, logger } = parts;
  const stores = {
    datasets: new DatasetStore(database),
    runs: new RunStore(database),
    events: new EventStore(database),
    metrics: new MetricStore(database),
    models: new ModelStore(database),
    predictions: new PredictionStore(database),
    uploads: new UploadStore(database),
    chunks: new ChunkStore(database),
    weightSets: new WeightSetStore(database),
    workers: new WorkerStore(database),
  };
  const version = packageVersion(new URL('../package.json', import.meta.url));
  const onError = (reason: string) => logger.warn({ reason }, 'traces could not be sent');
  const tracer = await createTracer({ endpoint: config.tracesTo, service: 'gateway', version, instance: randomUUID(), onError });
  const metrics = new Metrics({ service: 'gateway', version });
  observeBus(bus, metrics);
  const finishedRuns = new FinishedRunLog(new RunSummaryStore(database), logger);
  const repeatable = new Repeatable(database, new IdempotencyStore());
  const feed = new RunEventFeed(stores.events, logger);
  const shared = {
    ...stores,
    store,
    announcer: new Announcer(bus, feed, logger),
    repeatable,
    memory: new WorkerMemoryCheck(stores.workers),
  };
  const access = new AccessService(new TokenStore(database), repeatable);
  const datasets = new DatasetService(stores.datasets);
  const models = new ModelService(stores.models, store);
  const weights = new WeightSetService(stores.weightSets);
  const runs = new TrainingRunService(stores);
  const resolvers = [
    new AccessResolver(access),
    new UploadResolver(new UploadService(stores.uploads, stores.chunks, store, shared.announcer, repeatable)),
    new DatasetResolver(
      datasets,
      new FinalizeDataset(stores.uploads, stores.datasets, store, repeatable, new ObjectRemovalStore(database)),
    ),
    new DatasetVersionResolver(datasets),
    new TrainingRunResolver(
      runs,
      new StartTrainingRun({ ...shared, weights }),
      new RunCommands({ ...shared, finishedRuns, lifecycle: new RunLifecycleStore(stores.events, 'gateway') }),
    ),
    new ForkResolver(new ForkTrainingRun({ ...shared, forks: new ForkStore(database) })),
    new ForkOriginResolver(),
    new WaitingResolver(),
    new ModelResolver(models),
    new PredictionResolver(new PredictionService({ ...shared, models, datasets })),
    new WeightSetResolver(weights, new ImportWeights({ ...shared, weights })),
    new WorkerResolver(new WorkerService({ ...shared, exclusions: new WorkerExclusionStore(database) })),
    new JanitorResolver(new JanitorService(new JanitorPassStore(database), repeatable)),
  ];
  const runEvents = new RunEventSubscriptions(stores.runs, feed);
  const workerFeed = new WorkerFeed((projectId) => stores.workers.recent(projectId, ONLINE_WITHIN_MS, TOLD_FOR_MS), logger);
  const subscriptions: Subscriptions = {
    trainingRunEvents: (...args) => runEvents.trainingRunEvents(...args),
    workersChanged: ({ projectId }) => workerFeed.subscribe(projectId),
  };
  return {
    ...parts,
    access,
    feed,
    workerFeed,
    schema: await buildGatewaySchema(instanceOf(resolvers)),
    requestContext: (actor, requestId, operation) => ({
      actor,
      requestId,
      operation,
      loaders: createLoaders(stores, actor),
      subscriptions,
    }),
    metrics,
    readiness: watched(parts),
    tracer,
    operations: new OperationObserver(new GatewayMetrics(metrics, () => feed.subscriberCount), tracer),
    finishedRuns,
  };
}

/** Uploads and CSV files wait for the store, mutations for room in Postgres; all else goes on without. */
function watched({ database, bus, store }: GatewayParts): Readiness {
  const readiness = new Readiness();
  readiness.watch([
    { name: 'postgres', needed: true, check: () => database.query('readiness', 'select 1') },
    { name: 'postgres-space', needed: false, check: async () => Promise.resolve(database.checkRoom()) },
    { name: 'nats', needed: true, check: () => bus.flush() },
    { name: 'store', needed: false, check: () => store.check() },
  ]);
  return readiness;
}

/** Finds the resolver of a class among instances that were made by hand. */
function instanceOf(instances: readonly object[]): (type: object) => object {
  const byClass = new Map<object, object>(instances.map((instance) => [instance.constructor, instance]));
  return (type) => {
    const instance = byClass.get(type);
    if (instance === undefined) throw new Error(`no instance of ${String(type)} was put into the gateway's context`);
    return instance;
  };
}
