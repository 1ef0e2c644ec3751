import DataLoader from 'dataloader';
import type {
  AttemptRecord,
  CheckpointRecord,
  DatasetRecord,
  DatasetStore,
  DatasetVersionRecord,
  MetricPointRecord,
  MetricStore,
  ModelRecord,
  ModelStore,
  PredictionStore,
  RunStore,
  SplitCountRecord,
  TrainingRunRecord,
} from '@roentgen/database';
import type { Actor, CheckpointId, DatasetId, DatasetVersionId, ModelId, PredictionJobId, RunId } from '@roentgen/domain';

export interface LoaderStores {
  readonly datasets: DatasetStore;
  readonly runs: RunStore;
  readonly metrics: MetricStore;
  readonly models: ModelStore;
  readonly predictions: PredictionStore;
}

/** One query for all objects of a list that want the same kind of neighbour. Made anew for each operation: nothing is cached beyond it. */
export interface Loaders {
  readonly dataset: DataLoader<DatasetId, DatasetRecord | null>;
  readonly datasetVersion: DataLoader<DatasetVersionId, DatasetVersionRecord | null>;
  readonly latestVersion: DataLoader<DatasetId, DatasetVersionRecord | null>;
  readonly splits: DataLoader<DatasetVersionId, readonly SplitCountRecord[]>;
  readonly run: DataLoader<RunId, TrainingRunRecord | null>;
  readonly forks: DataLoader<RunId, readonly TrainingRunRecord[]>;
  readonly checkpoint: DataLoader<CheckpointId, CheckpointRecord | null>;
  readonly attempts: DataLoader<RunId, readonly AttemptRecord[]>;
  readonly checkpoints: DataLoader<RunId, readonly CheckpointRecord[]>;
  readonly latestMetrics: DataLoader<RunId, readonly MetricPointRecord[]>;
  readonly modelOfRun: DataLoader<RunId, ModelRecord | null>;
  readonly model: DataLoader<ModelId, ModelRecord | null>;
  readonly doneCount: DataLoader<PredictionJobId, number>;
  readonly engines: DataLoader<PredictionJobId, readonly string[]>;
}

export function createLoaders(stores: LoaderStores, actor: Actor): Loaders {
  const { projectId } = actor;
  return {
    dataset: byKey(
      (ids) => stores.datasets.byIds(projectId, ids),
      (dataset) => dataset.id,
    ),
    datasetVersion: byKey(
      (ids) => stores.datasets.versionsByIds(projectId, ids),
      (version) => version.id,
    ),
    latestVersion: byKey(
      (ids) => stores.datasets.latestVersions(projectId, ids),
      (version) => version.datasetId,
    ),
    splits: grouped(
      (ids) => stores.datasets.splitCounts(projectId, ids),
      (row) => row.datasetVersionId,
    ),
    run: byKey(
      (ids) => stores.runs.byIds(projectId, ids),
      (run) => run.id,
    ),
    forks: grouped(
      (ids) => stores.runs.forks(projectId, ids),
      (fork) => fork.forkedFrom.runId,
    ),
    checkpoint: byKey(
      (ids) => stores.runs.checkpointsByIds(projectId, ids),
      (checkpoint) => checkpoint.id,
    ),
    attempts: grouped(
      (ids) => stores.runs.attempts(projectId, ids),
      (attempt) => attempt.runId,
    ),
    checkpoints: grouped(
      (ids) => stores.runs.checkpoints(projectId, ids),
      (checkpoint) => checkpoint.runId,
    ),
    latestMetrics: grouped(
      (ids) => stores.metrics.latest(projectId, ids),
      (point) => point.runId,
    ),
    modelOfRun: byKey(
      (ids) => stores.models.byRuns(projectId, ids),
      (model) => model.runId,
    ),
    model: byKey(
      (ids) => stores.models.byIds(projectId, ids),
      (model) => model.id,
    ),
    doneCount: new DataLoader(async (ids) => {
      const counts = await stores.predictions.doneCounts(projectId, ids);
      return ids.map((id) => counts.get(id) ?? 0);
    }),
    engines: new DataLoader(async (ids) => {
      const engines = await stores.predictions.engines(projectId, ids);
      return ids.map((id) => engines.get(id) ?? []);
    }),
  };
}

function byKey<K, V>(load: (keys: readonly K[]) => Promise<readonly V[]>, keyOf: (value: V) => K): DataLoader<K, V | null> {
  return new DataLoader(async (keys: readonly K[]) => {
    const found = new Map((await load(keys)).map((value) => [keyOf(value), value]));
    return keys.map((key) => found.get(key) ?? null);
  });
}

function grouped<K, V>(load: (keys: readonly K[]) => Promise<readonly V[]>, keyOf: (value: V) => K): DataLoader<K, readonly V[]> {
  return new DataLoader(async (keys: readonly K[]) => {
    const groups = new Map<K, V[]>(keys.map((key) => [key, []]));
    for (const value of await load(keys)) groups.get(keyOf(value))?.push(value);
    return keys.map((key) => groups.get(key) ?? []);
  });
}
