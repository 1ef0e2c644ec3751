import type { InputIssue } from '@roentgen/domain';
import { EFFICIENTNET_VARIANTS, UnknownVariantError, parseVariant } from '@roentgen/efficientnet';
import type { EfficientNetVariant } from '@roentgen/efficientnet';
import { z } from 'zod';
import { InvalidRecipeError } from './errors.js';

const VariantSchema = z.string().transform((name, context): EfficientNetVariant => {
  try {
    return parseVariant(name);
  } catch (error) {
    if (!(error instanceof UnknownVariantError)) throw error;
    context.addIssue(error.message);
    return z.NEVER;
  }
});

const probability = z.number().min(0).lt(1);

const OptimizerSchema = z.strictObject({
  kind: z.literal('adam').default('adam'),
  beta1: probability.default(0.9),
  beta2: probability.default(0.999),
  epsilon: z.number().positive().default(1e-7),
});

const ScheduleSchema = z.strictObject({
  /** `cosine` falls from learningRate to 0 over the run (Loshchilov & Hutter 2017, without restarts). */
  kind: z.enum(['cosine', 'constant']).default('cosine'),
  /** Steps in which the learning rate rises linearly from 0. */
  warmupSteps: z.int().min(0).default(0),
});

/** What a caller may leave out is filled in; what depends on the variant is filled in afterwards. */
const RecipeInputSchema = z.strictObject({
  variant: VariantSchema.default('B0'),
  imageSizePx: z.int().min(32).max(1024).optional(),
  epochs: z.int().min(1).max(10_000).default(10),
  globalBatchSize: z.int().min(1).max(65_536).default(32),
  microBatchSize: z.int().min(1).max(1024).default(8),
  learningRate: z.number().positive().max(10).default(1e-3),
  optimizer: OptimizerSchema.prefault({}),
  schedule: ScheduleSchema.prefault({}),
  labelSmoothing: probability.default(0),
  dropoutRate: probability.optional(),
  dropConnectRate: probability.default(0.2),
  batchNorm: z.enum(['batch', 'frozen']).default('batch'),
  batchNormMomentum: probability.default(0.99),
  seed: z.int().min(0).default(0),
  augment: z.strictObject({ horizontalFlip: z.boolean().default(false) }).prefault({}),
  checkpointEveryEpochs: z.int().min(1).default(1),
});

/** Everything that decides what a training run computes, apart from the data. Frozen when the run starts. */
export const TrainingRecipeSchema = RecipeInputSchema.transform((recipe) => ({
  ...recipe,
  imageSizePx: recipe.imageSizePx ?? EFFICIENTNET_VARIANTS[recipe.variant].resolutionPx,
  dropoutRate: recipe.dropoutRate ?? EFFICIENTNET_VARIANTS[recipe.variant].dropoutRate,
}));
export type TrainingRecipe = z.output<typeof TrainingRecipeSchema>;

export type RecipeCheck =
  { readonly ok: true; readonly recipe: TrainingRecipe } | { readonly ok: false; readonly issues: readonly InputIssue[] };

/** Reads a recipe from outside; `{}` is a valid one. Reports every problem at once. */
export function checkRecipe(input: unknown): RecipeCheck {
  const parsed = TrainingRecipeSchema.safeParse(input);
  const issues = [...(parsed.error?.issues.map((issue) => describeIssue(issue, input)) ?? []), ...batchIssues(input)];
  return parsed.success && issues.length === 0 ? { ok: true, recipe: parsed.data } : { ok: false, issues };
}

/** @throws InvalidRecipeError with every problem */
export function parseRecipe(input: unknown): TrainingRecipe {
  const check = checkRecipe(input);
  if (!check.ok) throw new InvalidRecipeError(check.issues);
  return check.recipe;
}

function describeIssue(issue: z.core.$ZodIssue, input: unknown): InputIssue {
  const field = issue.path.join('.') || 'recipe';
  if (issue.code === 'custom') return { field, message: issue.message };
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(RecipeInputSchema.shape).join(', ');
    return {
      field,
      message: `${field} has no field ${issue.keys.map((key) => `"${key}"`).join(', ')}. At the top level it knows ${known}.`,
    };
  }
  const value = issue.path.reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined), input);
  return { field, message: `${field} ${JSON.stringify(value)} is not allowed: ${issue.message.replace(/^Invalid input: /, '')}.` };
}

const BatchSchema = z.object(RecipeInputSchema.pick({ globalBatchSize: true, microBatchSize: true, batchNorm: true }).shape);

/** Rules between fields; checked whenever the fields themselves are valid, whatever else is wrong. */
function batchIssues(input: unknown): InputIssue[] {
  const parsed = BatchSchema.safeParse(input);
  if (!parsed.success) return [];
  const { globalBatchSize, microBatchSize, batchNorm } = parsed.data;
  const issues: InputIssue[] = [];
  if (globalBatchSize % microBatchSize !== 0) {
    issues.push({
      field: 'globalBatchSize',
      message:
        `globalBatchSize ${globalBatchSize} is not divisible by microBatchSize ${microBatchSize}: every step must consist of whole micro-batches. ` +
        `Use ${either(neighbouringMultiples(globalBatchSize, microBatchSize))}, or set microBatchSize to ${either(neighbouringDivisors(globalBatchSize, microBatchSize))}.`,
    });
  }
  if (batchNorm === 'batch' && microBatchSize < 2) {
    issues.push({
      field: 'microBatchSize',
      message: `microBatchSize ${microBatchSize} is too small for batchNorm "batch": statistics of one image say nothing. Use at least 2, or batchNorm "frozen".`,
    });
  }
  return issues;
}

function neighbouringMultiples(value: number, unit: number): number[] {
  const below = Math.floor(value / unit) * unit;
  return [below, below + unit].filter((multiple) => multiple > 0);
}

function neighbouringDivisors(value: number, near: number): number[] {
  const divisors = Array.from({ length: value }, (_, index) => index + 1).filter((divisor) => value % divisor === 0);
  const below = divisors.filter((divisor) => divisor < near).at(-1);
  const above = divisors.find((divisor) => divisor > near);
  return [below, above].filter((divisor) => divisor !== undefined);
}

function either(values: readonly number[]): string {
  return values.join(' or ');
}
