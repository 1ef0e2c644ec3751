import { type RoentgenClient, type RunEvent, startTrainingRun, type TrainingRun, trainingRun, watchRun } from '@roentgen/client';
import {
  type AugmentationPreset,
  type BatchNormMode,
  FailedError,
  type LearningRateSchedule,
  type OptimizerKind,
  type Precision,
  type TrainingRecipeInput,
} from '@roentgen/client';
import { findDatasetVersion } from '../find-dataset.js';
import { type CommandContext, connect } from '../session.js';
import { describeEvent } from '../run-event-line.js';
import type { Output } from '../output.js';

/** Flag values and what the API calls them. */
export const OPTIMIZERS = { adam: 'ADAM', adamw: 'ADAMW', sgd: 'SGD' } as const satisfies Record<string, OptimizerKind>;
export const SCHEDULES = { constant: 'CONSTANT', cosine: 'COSINE', exponential: 'EXPONENTIAL' } as const satisfies Record<
  string,
  LearningRateSchedule
>;
export const PRECISIONS = { fp32: 'FP32', bf16: 'BF16', fp16: 'FP16' } as const satisfies Record<string, Precision>;
export const AUGMENTATIONS = { none: 'NONE', light: 'LIGHT' } as const satisfies Record<string, AugmentationPreset>;

export const BATCH_NORMS = { batch: 'BATCH', frozen: 'FROZEN' } as const satisfies Record<string, BatchNormMode>;

export interface TrainOptions extends RecipeOptions {
  readonly dataset: string;
  readonly name?: string;
  readonly variant?: string;
  readonly weights?: string;
  readonly watch?: boolean;
}

/** What can be said when a run is started, and when one is forked. */
export interface RecipeOptions {
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly microBatchSize?: number;
  readonly imageSize?: number;
  readonly learningRate?: number;
  readonly optimizer?: keyof typeof OPTIMIZERS;
  readonly weightDecay?: number;
  readonly clipNorm?: number;
  readonly emaDecay?: number;
  readonly layerDecay?: number;
  readonly schedule?: keyof typeof SCHEDULES;
  readonly warmupSteps?: number;
  readonly dropoutRate?: number;
  readonly labelSmoothing?: number;
  readonly batchNorm?: keyof typeof BATCH_NORMS;
  readonly precision?: keyof typeof PRECISIONS;
  readonly recompute?: boolean;
  readonly seed?: number;
  readonly augmentation?: keyof typeof AUGMENTATIONS;
  readonly rotationDegrees?: number;
  readonly horizontalFlip?: number;
  readonly shiftFraction?: number;
  readonly scaleFraction?: number;
  readonly brightness?: number;
  readonly contrast?: number;
}

/** `roentgen train`: starts a run, and follows it with `--watch`. */
export async function trainCommand(context: CommandContext, options: TrainOptions): Promise<void> {
  const client = connect(context);
  const version = await findDatasetVersion(client, options.dataset);
  const run = await startTrainingRun(client, {
    datasetVersionId: version.id,
    ...(options.name !== undefined && { name: options.name }),
    recipe: recipeOf(options),
  });
  if (options.watch !== true)
    return context.output.result(
      { run: run.id, status: run.status },
      () => `${run.id} is queued; follow it with: roentgen watch ${run.id}`,
    );
  context.output.note(`${run.id} is queued`);
  await follow(context, client, run.id, 0);
}

/** The recipe with what the flags say and nothing else. */
export function recipeOf(options: Omit<TrainOptions, 'dataset'>): TrainingRecipeInput {
  return {
    ...(options.variant !== undefined && { variant: options.variant }),
    ...(options.weights !== undefined && { initialWeights: options.weights }),
    ...overridesOf(options),
  };
}

/** The part of it that a fork can change, too. */
export function overridesOf(options: RecipeOptions): Omit<TrainingRecipeInput, 'variant' | 'initialWeights'> {
  const { optimizer, weightDecay, schedule, warmupSteps, batchSize, microBatchSize } = options;
  return {
    ...(options.epochs !== undefined && { epochs: options.epochs }),
    ...(batchSize !== undefined && { globalBatchSize: batchSize }),
    ...(microBatchSize !== undefined && { microBatchSize }),
    ...(options.imageSize !== undefined && { imageSizePx: options.imageSize }),
    ...(options.learningRate !== undefined && { learningRate: options.learningRate }),
    ...((optimizer !== undefined || weightDecay !== undefined) && {
      optimizer: { ...(optimizer !== undefined && { kind: OPTIMIZERS[optimizer] }), ...(weightDecay !== undefined && { weightDecay }) },
    }),
    ...((schedule !== undefined || warmupSteps !== undefined) && {
      schedule: { ...(schedule !== undefined && { kind: SCHEDULES[schedule] }), ...(warmupSteps !== undefined && { warmupSteps }) },
    }),
    ...(options.dropoutRate !== undefined && { dropoutRate: options.dropoutRate }),
    ...(options.labelSmoothing !== undefined && { labelSmoothing: options.labelSmoothing }),
    ...(options.batchNorm !== undefined && { batchNorm: BATCH_NORMS[options.batchNorm] }),
    ...(options.clipNorm !== undefined && { clipNorm: options.clipNorm }),
    ...(options.emaDecay !== undefined && { emaDecay: options.emaDecay }),
    ...(options.layerDecay !== undefined && { layerDecay: options.layerDecay }),
    ...augmentationOf(options),
    ...(options.precision !== undefined && { precision: PRECISIONS[options.precision] }),
    ...(options.recompute !== undefined && { recompute: options.recompute }),
    ...(options.seed !== undefined && { seed: options.seed }),
  };
}

const AUGMENTATION_RANGES = ['rotationDegrees', 'horizontalFlip', 'shiftFraction', 'scaleFraction', 'brightness', 'contrast'] as const;

function augmentationOf(options: RecipeOptions): Pick<TrainingRecipeInput, 'augmentation'> {
  const ranges = AUGMENTATION_RANGES.filter((name) => options[name] !== undefined).map((name) => [name, options[name]] as const);
  const preset = options.augmentation && AUGMENTATIONS[options.augmentation];
  if (preset === undefined && ranges.length === 0) return {};
  return { augmentation: { ...(preset && { preset }), ...Object.fromEntries(ranges) } };
}

/** `roentgen watch`: the events of a run, live, until it ends. */
export async function watchCommand(context: CommandContext, runId: string, options: { readonly after: number }): Promise<void> {
  await follow(context, connect(context), runId, options.after);
}

/** Prints the events of a run; with --json one line per event, then one with the result. @throws FailedError (exit code 4) when the run did not succeed */
export async function follow(context: CommandContext, client: RoentgenClient, runId: string, afterSequence: number): Promise<void> {
  const { output } = context;
  const run = await followRun(client, runId, {
    output,
    signal: context.signal,
    afterSequence,
    onEvent: (event) => output.item(event, describeEvent(event)),
  });
  output.item(
    { run: run.id, status: run.status, model: run.model?.id ?? null },
    run.model === null ? `${run.id} ${run.status}` : `${run.id} ${run.status}, model ${run.model.id}`,
  );
  requireSuccess(run);
}

export interface FollowOptions {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly afterSequence?: number;
  readonly onEvent: (event: RunEvent) => void;
}

/** Follows a run to its end and gives its last state. */
export async function followRun(
  client: RoentgenClient,
  runId: string,
  { output, signal, afterSequence = 0, onEvent }: FollowOptions,
): Promise<TrainingRun> {
  for await (const event of watchRun(client, runId, {
    afterSequence,
    signal,
    onReconnect: (reason) => output.note(`connection lost (${reason}); connecting again`),
  }))
    onEvent(event);
  signal.throwIfAborted();
  return trainingRun(client, runId, signal);
}

/** @throws FailedError naming why the run did not succeed */
export function requireSuccess(run: TrainingRun): void {
  if (run.status === 'SUCCEEDED') return;
  throw new FailedError(
    run.statusCode ?? `RUN_${run.status}`,
    `${run.id} ${run.status}${run.statusMessage === null ? '' : `: ${run.statusMessage}`}`,
  );
}
