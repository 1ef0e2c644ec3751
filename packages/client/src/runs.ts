import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import {
  CancelTrainingRunDocument,
  ForkTrainingRunDocument,
  type ForkTrainingRunInput,
  type MetricPointFieldsFragment,
  MetricSeriesDocument,
  PauseTrainingRunDocument,
  type RecipeOverridesInput,
  ResumeTrainingRunDocument,
  StartTrainingRunDocument,
  TrainingRunDetailsDocument,
  type TrainingRunDetailsQuery,
  TrainingRunDocument,
  TrainingRunEventsDocument,
  type TrainingRunEventFieldsFragment,
  type TrainingRunFieldsFragment,
  type TrainingRecipeInput,
  TrainingRunsDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';

export type TrainingRun = TrainingRunFieldsFragment;
/** One fact about a run; sequences count 1, 2, 3 … without a gap. */
export type RunEvent = TrainingRunEventFieldsFragment;

export type RunDetails = TrainingRunDetailsQuery['trainingRun'];
export type MetricPoint = MetricPointFieldsFragment;

export interface StartTrainingRunOptions {
  readonly datasetVersionId: string;
  readonly name?: string;
  /** What is left out takes the server's default. */
  readonly recipe?: TrainingRecipeInput;
  /** The same key with the same input starts one run. Default: a new one per call, so that a repeated request is safe. */
  readonly idempotencyKey?: string;
}

/** Starts a training run; it is QUEUED until a worker takes it. @throws MutationError naming what is wrong with the recipe */
export async function startTrainingRun(client: RoentgenClient, options: StartTrainingRunOptions): Promise<TrainingRun> {
  const { recipe = {}, idempotencyKey = randomUUID(), ...rest } = options;
  const { startTrainingRun: payload } = await client.execute(StartTrainingRunDocument, { input: { ...rest, recipe, idempotencyKey } });
  return accepted(payload, 'run');
}

/** `force`: do not wait for the worker, and give up what came after the last checkpoint. */
export interface StopRunOptions {
  readonly force?: boolean;
}

/** Asks a run to end; asking twice is asking once, also of one that has ended. */
export async function cancelTrainingRun(
  client: RoentgenClient,
  runId: string,
  { force = false }: StopRunOptions = {},
): Promise<TrainingRun> {
  const { cancelTrainingRun: payload } = await client.execute(CancelTrainingRunDocument, {
    input: { runId, force, idempotencyKey: randomUUID() },
  });
  return accepted(payload, 'run');
}

/** Asks a run to save a checkpoint and free its worker; asking twice is asking once. @throws MutationError when it has ended */
export async function pauseTrainingRun(
  client: RoentgenClient,
  runId: string,
  { force = false }: StopRunOptions = {},
): Promise<TrainingRun> {
  const { pauseTrainingRun: payload } = await client.execute(PauseTrainingRunDocument, {
    input: { runId, force, idempotencyKey: randomUUID() },
  });
  return accepted(payload, 'run');
}

/** Queues a paused run again; of one that is not paused nothing changes. @throws MutationError when it has ended, or its worker has not left it yet */
export async function resumeTrainingRun(client: RoentgenClient, runId: string): Promise<TrainingRun> {
  const { resumeTrainingRun: payload } = await client.execute(ResumeTrainingRunDocument, {
    input: { runId, idempotencyKey: randomUUID() },
  });
  return accepted(payload, 'run');
}

export interface ForkTrainingRunOptions extends Omit<ForkTrainingRunInput, 'overrides' | 'idempotencyKey'> {
  /** What is left out stays as it was. */
  readonly overrides?: RecipeOverridesInput;
  /** The same key with the same input makes one fork. Default: a new one per call, so that a repeated request is safe. */
  readonly idempotencyKey?: string;
}

/** A new run that goes on from a checkpoint. @throws MutationError naming the overrides under which it would mean something else */
export async function forkTrainingRun(client: RoentgenClient, options: ForkTrainingRunOptions): Promise<TrainingRun> {
  const { overrides = {}, idempotencyKey = randomUUID(), ...rest } = options;
  const { forkTrainingRun: payload } = await client.execute(ForkTrainingRunDocument, { input: { ...rest, overrides, idempotencyKey } });
  return accepted(payload, 'run');
}

/** A run with its attempts, its checkpoints by step, and its forks. @throws ApiError NOT_FOUND when the project has no such run */
export async function trainingRunDetails(client: RoentgenClient, id: string): Promise<RunDetails> {
  return (await client.execute(TrainingRunDetailsDocument, { id })).trainingRun;
}

/** @throws ApiError NOT_FOUND when the project has no such run */
export async function trainingRun(client: RoentgenClient, id: string, signal?: AbortSignal): Promise<TrainingRun> {
  return (await client.execute(TrainingRunDocument, { id }, { signal })).trainingRun;
}

/** Training runs of the project, newest first. */
export async function trainingRuns(client: RoentgenClient, first = 50): Promise<readonly TrainingRun[]> {
  return (await client.execute(TrainingRunsDocument, { first })).trainingRuns.nodes;
}

/** Points of a run's curves, sorted by name and step; a longer curve is thinned to `maxPoints`. Without names: every metric. */
export async function metricSeries(
  client: RoentgenClient,
  runId: string,
  names: readonly string[] | null = null,
  maxPoints = 1_000,
): Promise<readonly MetricPoint[]> {
  return (await client.execute(MetricSeriesDocument, { runId, names, maxPoints })).metricSeries;
}

export interface WatchRunOptions {
  /** Leave out the events up to this one; default 0: all of them. */
  readonly afterSequence?: number;
  readonly onReconnect?: (reason: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * The events of a run, past and then live, each once and in order, over as many connections as it takes; ends after the run's last event.
 * @throws ApiError when the run is unknown, UnreachableError when the connection stays away
 */
export async function* watchRun(
  client: RoentgenClient,
  runId: string,
  options: WatchRunOptions = {},
): AsyncGenerator<RunEvent, void, void> {
  const { afterSequence = 0, ...rest } = options;
  const values = client.subscribe(
    TrainingRunEventsDocument,
    { runId, afterSequence },
    {
      ...rest,
      resume: (variables, last) => ({ ...variables, afterSequence: last?.trainingRunEvents.sequence ?? variables.afterSequence }),
    },
  );
  for await (const { trainingRunEvents } of values) yield trainingRunEvents;
}
