import type { InputIssue } from './errors.js';
import type { CheckpointId } from './ids.js';
import { stepsPerEpoch } from './micro-batch-size.js';
import type { AugmentationPreset, AugmentationRecipe } from './recipe-augmentation.js';
import type { OptimizerKind, OptimizerRecipe, ScheduleRecipe } from './recipe-optimization.js';
import { InvalidRecipeError, TrainingRecipeSchema, checkRequestedRecipe, type RequestedRecipe, type TrainingRecipe } from './recipe.js';

/** `AdamRecipe | SgdRecipe` → every field of either, all of them optional. */
type AnyFieldOf<Union> = { readonly [K in Union extends unknown ? keyof Union : never]?: Union extends Record<K, infer V> ? V : never };

/**
 * What a fork changes of the recipe that it goes on with. What is left out stays; so do the fields of `optimizer`, `schedule`, `freeze` and
 * `augmentation` that are left out, where they belong to the new kind too. null takes `clipNorm`, `emaDecay` or `layerDecay` away.
 */
export interface RecipeOverrides extends Partial<
  Omit<RequestedRecipe, 'variant' | 'initialWeights' | 'microBatchSize' | 'optimizer' | 'schedule' | 'freeze' | 'augmentation'>
> {
  /** Only that of the checkpoint: its tensors are those of one network. */
  readonly variant?: string;
  readonly microBatchSize?: number;
  readonly optimizer?: AnyFieldOf<OptimizerRecipe>;
  readonly schedule?: AnyFieldOf<ScheduleRecipe>;
  readonly freeze?: Partial<RequestedRecipe['freeze']>;
  readonly augmentation?: Partial<AugmentationRecipe> & { readonly preset?: AugmentationPreset };
}

/** What a fork goes on from. */
export interface ForkSource {
  /** Of the run that is forked. */
  readonly recipe: RequestedRecipe;
  readonly checkpointId: CheckpointId;
  /** Steps that are committed in the checkpoint. */
  readonly step: number;
  /** Images of the train split. */
  readonly trainSamples: number;
}

/** Kinds whose memory of the gradients is the same: AdamW differs from Adam in its weight decay, which remembers nothing. */
const MEMORY_OF: Readonly<Record<OptimizerKind, string>> = { adam: 'moments', adamw: 'moments', sgd: 'momentum' };

/** Whether an optimiser of one kind can go on with the memory of the other. */
export const sharesOptimizerMemory = (a: OptimizerKind, b: OptimizerKind): boolean => MEMORY_OF[a] === MEMORY_OF[b];

/**
 * The recipe of a run that goes on from a checkpoint with some things changed. Without overrides it is that of the run that is forked, and the
 * fork makes the very steps that the run would have made.
 * @throws InvalidRecipeError listing every override that breaks a rule of recipes, or under which the checkpoint would mean something else
 */
export function forkRecipe(source: ForkSource, overrides: RecipeOverrides): RequestedRecipe {
  const checked = checkRequestedRecipe(merge(source.recipe, overrides));
  const issues = checked.ok ? forkIssues(source, checked.recipe) : checked.issues.map(asOverride);
  if (checked.ok && issues.length === 0) return checked.recipe;
  throw new InvalidRecipeError(issues.map(({ field, message }) => `${field}: ${message}`).join('; '), issues);
}

const asOverride = ({ field, message }: InputIssue): InputIssue => ({ field: field.replace(/^recipe/, 'overrides'), message });

function merge(recipe: RequestedRecipe, overrides: RecipeOverrides): object {
  const { optimizer, schedule, freeze, augmentation, ...rest } = overrides;
  return {
    ...recipe,
    ...rest,
    optimizer: mergeOptimizer(recipe.optimizer, optimizer),
    schedule:
      schedule?.kind === undefined || schedule.kind === recipe.schedule.kind
        ? { ...recipe.schedule, ...schedule }
        : { warmupSteps: recipe.schedule.warmupSteps, ...schedule },
    freeze: { ...recipe.freeze, ...(freeze?.until === 'none' && { epochs: 0 }), ...freeze },
    augmentation: augmentation?.preset === undefined ? { ...recipe.augmentation, ...augmentation } : augmentation,
  };
}

/** With another kind only the fields stay that both have. */
function mergeOptimizer(base: OptimizerRecipe, changed: RecipeOverrides['optimizer']): object {
  if (changed?.kind === undefined || changed.kind === base.kind) return { ...base, ...changed };
  if (base.kind === 'sgd' || changed.kind === 'sgd') return changed;
  const { beta1, beta2, epsilon } = base;
  return { beta1, beta2, epsilon, ...changed };
}

/** What would make the checkpoint, its position or its optimiser's memory mean something else. */
function forkIssues(source: ForkSource, wanted: RequestedRecipe): InputIssue[] {
  const [before, after] = [TrainingRecipeSchema.parse(source.recipe), TrainingRecipeSchema.parse(wanted)];
  const issue = (field: string, message: string): InputIssue => ({ field: `overrides.${field}`, message });
  if (after.variant !== before.variant) {
    const message = `${after.variant} cannot go on with the weights of ${before.variant} that ${source.checkpointId} holds. Leave it out, or start a new run of ${after.variant}.`;
    return [issue('variant', message)];
  }
  return [
    ...optimizerIssues(before, after).map((message) => issue('optimizer.kind', message)),
    ...positionIssues(source, before, after).map(({ field, message }) => issue(field, message)),
  ];
}

function optimizerIssues(before: TrainingRecipe, after: TrainingRecipe): string[] {
  const [from, to] = [before.optimizer.kind, after.optimizer.kind];
  if (sharesOptimizerMemory(from, to)) return [];
  return [
    `${to} cannot go on with what ${from} remembers of the gradients, and without a memory its first updates would be several times too long. ` +
      `Use ${Object.keys(MEMORY_OF)
        .filter((kind) => MEMORY_OF[kind as OptimizerKind] === MEMORY_OF[from])
        .join(' or ')}, or start a new run.`,
  ];
}

/** A step is a place in an epoch's order of images, on the schedule, and in the optimiser's count of updates: it must stay all of them. */
function positionIssues({ step, trainSamples }: ForkSource, before: TrainingRecipe, after: TrainingRecipe): InputIssue[] {
  const [perEpochBefore, perEpoch] = [stepsPerEpoch(before, trainSamples), stepsPerEpoch(after, trainSamples)];
  if (perEpoch !== perEpochBefore) {
    const field =
      before.globalBatchSize === after.globalBatchSize
        ? before.batchNorm === after.batchNorm
          ? 'microBatchSize'
          : 'batchNorm'
        : 'globalBatchSize';
    const message =
      `${after[field]} makes ${perEpoch} steps of an epoch of ${trainSamples} images; step ${step} of the checkpoint was counted with ${perEpochBefore}. ` +
      `Keep ${before[field]}, or a value with ${perEpochBefore} steps, or start a new run.`;
    return [{ field, message }];
  }
  return [
    ...midEpochIssues(step, perEpoch, before, after),
    ...freezeIssues(step, perEpoch, before, after),
    ...endIssues(step, perEpoch, after),
  ];
}

/** Inside an epoch some of its images have been used already. */
function midEpochIssues(step: number, perEpoch: number, before: TrainingRecipe, after: TrainingRecipe): InputIssue[] {
  if (step % perEpoch === 0) return [];
  return (['seed', 'globalBatchSize'] as const)
    .filter((field) => before[field] !== after[field])
    .map((field) => ({
      field,
      message:
        `${after[field]} deals the images of an epoch out in another way, and the checkpoint lies inside of one (step ${step}, epochs of ${perEpoch}): some would be used twice and others never. ` +
        `Keep ${before[field]}, or fork a checkpoint from the end of an epoch.`,
    }));
}

/** Which parameters have learned in the steps that are done cannot change any more; when the rest is let go can. */
function freezeIssues(step: number, perEpoch: number, before: TrainingRecipe, after: TrainingRecipe): InputIssue[] {
  const frozenSteps = ({ freeze }: TrainingRecipe) => Math.min(step, freeze.until === 'head' ? freeze.epochs * perEpoch : 0);
  const [was, wanted] = [frozenSteps(before), frozenSteps(after)];
  if (was === wanted) return [];
  const message =
    `freezes ${wanted} of the ${step} steps that are done, in which ${was} were frozen. ` +
    (was === step
      ? `Freeze at least ${Math.ceil(step / perEpoch)} epochs`
      : `Keep until "${before.freeze.until}", epochs ${before.freeze.epochs}`) +
    ', or start a new run.';
  return [{ field: 'freeze', message }];
}

function endIssues(step: number, perEpoch: number, { epochs }: TrainingRecipe): InputIssue[] {
  if (step < epochs * perEpoch) return [];
  const message = `${epochs} epochs of ${perEpoch} steps end at step ${epochs * perEpoch}, and the checkpoint is at step ${step}: nothing is left to train. Use at least ${Math.floor(step / perEpoch) + 1}.`;
  return [{ field: 'epochs', message }];
}
