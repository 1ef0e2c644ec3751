import { z } from 'zod';
import { InvalidInputError, type InputIssue } from './errors.js';
import { largestMicroBatch } from './micro-batch-size.js';
import { AugmentationSchema, AUGMENTATION_PRESETS, withAugmentationOf } from './recipe-augmentation.js';
import { OptimizerSchema, ScheduleSchema, UPDATE_FIELDS } from './recipe-optimization.js';

/** EfficientNet variants by the names of the paper (Tan & Le 2019, table 1 and §5); Lite0 is the authors' network for small devices. */
export const EFFICIENTNET_VARIANT_NAMES = ['B0', 'B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'Lite0'] as const;
export type EfficientNetVariant = (typeof EFFICIENTNET_VARIANT_NAMES)[number];

/** What a variant was designed with: side of its images in px, and dropout before the classifier (Tan & Le 2019, and the authors' code). */
export const EFFICIENTNET_DESIGN: Readonly<Record<EfficientNetVariant, { readonly resolutionPx: number; readonly dropoutRate: number }>> = {
  B0: { resolutionPx: 224, dropoutRate: 0.2 },
  B1: { resolutionPx: 240, dropoutRate: 0.2 },
  B2: { resolutionPx: 260, dropoutRate: 0.3 },
  B3: { resolutionPx: 300, dropoutRate: 0.3 },
  B4: { resolutionPx: 380, dropoutRate: 0.4 },
  B5: { resolutionPx: 456, dropoutRate: 0.4 },
  B6: { resolutionPx: 528, dropoutRate: 0.5 },
  B7: { resolutionPx: 600, dropoutRate: 0.5 },
  Lite0: { resolutionPx: 224, dropoutRate: 0.2 },
};

/** `b3`, `B3` and `efficientnet-b3` all name B3, `efficientnet-lite0` names Lite0; null for a name that is none. */
export function parseVariantName(name: string): EfficientNetVariant | null {
  const short = name
    .trim()
    .toUpperCase()
    .replace(/^EFFICIENTNET[-_ ]?/, '');
  return EFFICIENTNET_VARIANT_NAMES.find((known) => known.toUpperCase() === short) ?? null;
}

const VariantSchema = z.string().transform((name, ctx): EfficientNetVariant => {
  const variant = parseVariantName(name);
  if (variant !== null) return variant;
  ctx.addIssue(`unknown EfficientNet variant "${name}": use one of ${EFFICIENTNET_VARIANT_NAMES.join(', ')}`);
  return z.NEVER;
});

/** Number formats of convolutions and activations: IEEE single precision, its upper half (8 bits of precision), IEEE half precision (11 bits). */
export const PRECISIONS = ['fp32', 'bf16', 'fp16'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Images of a micro-batch at most; beyond that a step says nothing for long, and no worker is known to hold more. */
export const MAX_MICRO_BATCH = 4_096;

const wholeNumber = (min: number, max: number) =>
  z.number().int(`must be a whole number`).min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
const fraction = (min: number, max: number, fallback: number) =>
  z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`).default(fallback);

const RecipeFields = z.object({
  variant: VariantSchema.default('B0'),
  /** The weight set that training starts from, by name or id (stored by id); null: random weights. */
  initialWeights: z.string().min(1, 'must not be empty: leave it out to start from random weights').max(200).nullable().default(null),
  /** Side of the square images that the network sees, px; left out: what the variant was designed for. */
  imageSizePx: wholeNumber(32, 1024).optional(),
  epochs: wholeNumber(1, 10_000).default(5),
  /** Samples per optimiser update, over all workers. */
  globalBatchSize: wholeNumber(1, 65_536).default(16),
  /** Samples per session call; every step consists of whole micro-batches. null: as many as fit, decided when the run is first given to a worker. */
  microBatchSize: wholeNumber(1, MAX_MICRO_BATCH).nullable().default(null),
  learningRate: z.number().positive('must be above 0').max(1000, 'must be at most 1000').default(1e-3),
  optimizer: OptimizerSchema.default({ kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }),
  schedule: ScheduleSchema.default({ kind: 'cosine', warmupSteps: 0, finalFraction: 0 }),
  ...UPDATE_FIELDS,
  labelSmoothing: fraction(0, 0.5, 0),
  /** Before the classifier; left out: that of the variant. */
  dropoutRate: z.number().min(0, 'must be at least 0').max(0.9, 'must be at most 0.9').optional(),
  /** Stochastic depth: the chance that the last block's residual branch is dropped; earlier blocks less, in proportion to their depth. */
  dropConnectRate: fraction(0, 0.9, 0.2),
  /** Batch norm uses each micro-batch's own statistics, or the running ones of the weights it started from. */
  batchNorm: z.enum(['batch', 'frozen']).default('batch'),
  /** How much of the running statistics is kept at each step. */
  batchNormMomentum: fraction(0, 0.99999, 0.99),
  /**
   * What convolutions and activations are computed in. Weights, optimiser, statistics, loss and evaluation are fp32 in any case. fp16 scales
   * the loss; a step whose gradient overflows makes no update.
   */
  precision: z.enum(PRECISIONS, { error: ({ input }) => `unknown precision "${String(input)}": use fp32, bf16 or fp16` }).default('fp32'),
  /** Computes activations a second time on the way back instead of keeping them: less memory, more time, the same gradients. */
  recompute: z.boolean().default(false),
  seed: wholeNumber(0, 2_147_483_647).default(0),
  augmentation: AugmentationSchema.default(AUGMENTATION_PRESETS.none),
  /** A checkpoint after every so many epochs, and always after the last. */
  checkpointEveryEpochs: wholeNumber(1, 10_000).default(1),
});

/** What has to fit together; checked also when another field is wrong, so that a caller hears of everything at once. */
const BatchFields = RecipeFields.pick({ globalBatchSize: true, microBatchSize: true, batchNorm: true });

function batchIssues({ globalBatchSize, microBatchSize, batchNorm }: z.infer<typeof BatchFields>): { path: string; message: string }[] {
  const issues: { path: string; message: string }[] = [];
  if (microBatchSize === null) {
    if (batchNorm === 'frozen' || globalBatchSize > 1) return issues;
    const message = `globalBatchSize 1 is too small for batchNorm "batch": statistics of one image say nothing. Use at least 2, or batchNorm "frozen".`;
    return [{ path: 'globalBatchSize', message }];
  }
  if (globalBatchSize % microBatchSize !== 0)
    issues.push({ path: 'globalBatchSize', message: divisibilityAdvice(globalBatchSize, microBatchSize) });
  if (batchNorm === 'batch' && microBatchSize < 2) {
    const message = `microBatchSize ${microBatchSize} is too small for batchNorm "batch": statistics of one image say nothing. Use at least 2, or batchNorm "frozen".`;
    issues.push({ path: 'microBatchSize', message });
  }
  return issues;
}

/** What a user asks for, with every default filled in but the micro-batch, which may wait for the worker; stored with the run. */
export const RequestedRecipeSchema = z.preprocess(
  withAugmentationOf,
  RecipeFields.superRefine((recipe, ctx) => {
    for (const { path, message } of batchIssues(recipe)) ctx.addIssue({ code: 'custom', path: [path], message });
  }).transform(({ imageSizePx, dropoutRate, ...recipe }) => {
    const design = EFFICIENTNET_DESIGN[recipe.variant];
    return { ...recipe, imageSizePx: imageSizePx ?? design.resolutionPx, dropoutRate: dropoutRate ?? design.dropoutRate };
  }),
);
export type RequestedRecipe = z.infer<typeof RequestedRecipeSchema>;

/** Micro-batch where nobody knows how much fits. */
export const USUAL_MICRO_BATCH = 16;

/** Everything that decides the result of a training run besides its dataset version. */
export const TrainingRecipeSchema = RequestedRecipeSchema.transform((recipe) => ({
  ...recipe,
  microBatchSize: recipe.microBatchSize ?? largestMicroBatch(recipe.globalBatchSize, USUAL_MICRO_BATCH),
}));
export type TrainingRecipe = z.infer<typeof TrainingRecipeSchema>;

/** A recipe that breaks a rule; every issue is listed. */
export class InvalidRecipeError extends InvalidInputError {
  override readonly code = 'INVALID_RECIPE';
}

type Checked<Recipe> = { readonly ok: true; readonly recipe: Recipe } | { readonly ok: false; readonly issues: readonly InputIssue[] };

/** The recipe with its defaults filled in, or all that is wrong with it. `{}` is a valid input. */
export const checkTrainingRecipe = (input: unknown): Checked<TrainingRecipe> => check(TrainingRecipeSchema, input);

/** Like checkTrainingRecipe, but a micro-batch that was left out stays open. */
export const checkRequestedRecipe = (input: unknown): Checked<RequestedRecipe> => check(RequestedRecipeSchema, input);

function check<Recipe>(schema: z.ZodType<Recipe>, input: unknown): Checked<Recipe> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return { ok: true, recipe: parsed.data };
  const issues = parsed.error.issues.map((issue) => ({ field: ['recipe', ...issue.path].join('.'), message: issue.message }));
  return { ok: false, issues: [...issues, ...hiddenBatchIssues(input, issues)] };
}

/** The schema skips its last check when a field is wrong: asked here of the fields that it concerns. */
function hiddenBatchIssues(input: unknown, known: readonly InputIssue[]): InputIssue[] {
  const batch = BatchFields.safeParse(input);
  if (!batch.success) return [];
  return batchIssues(batch.data)
    .map(({ path, message }) => ({ field: `recipe.${path}`, message }))
    .filter(({ message }) => known.every((issue) => issue.message !== message));
}

/** @throws InvalidRecipeError listing every issue */
export const parseTrainingRecipe = (input: unknown): TrainingRecipe => parse(TrainingRecipeSchema, input);

/** Like parseTrainingRecipe, but a micro-batch that was left out stays open. @throws InvalidRecipeError listing every issue */
export const parseRequestedRecipe = (input: unknown): RequestedRecipe => parse(RequestedRecipeSchema, input);

function parse<Recipe>(schema: z.ZodType<Recipe>, input: unknown): Recipe {
  const checked = check(schema, input);
  if (checked.ok) return checked.recipe;
  throw new InvalidRecipeError(checked.issues.map((issue) => `${issue.field}: ${issue.message}`).join('; '), checked.issues);
}

/** What to change so that `globalBatchSize` becomes a multiple of `microBatchSize`. */
function divisibilityAdvice(globalBatchSize: number, microBatchSize: number): string {
  const below = Math.floor(globalBatchSize / microBatchSize) * microBatchSize;
  const neighbours = [below, below + microBatchSize].filter((n) => n > 0);
  const divisors = Array.from({ length: Math.min(microBatchSize * 2, globalBatchSize) }, (_, i) => i + 1).filter(
    (n) => globalBatchSize % n === 0,
  );
  const nearest = divisors.sort((a, b) => Math.abs(a - microBatchSize) - Math.abs(b - microBatchSize)).slice(0, 2);
  return (
    `globalBatchSize ${globalBatchSize} is not divisible by microBatchSize ${microBatchSize}: every step must consist of whole micro-batches. ` +
    `Use ${neighbours.join(' or ')}, or set microBatchSize to ${nearest.sort((a, b) => a - b).join(' or ')}.`
  );
}
