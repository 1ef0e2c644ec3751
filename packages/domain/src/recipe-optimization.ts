import { z } from 'zod';

/** How the weights of a training run are updated: optimiser, learning-rate schedule, class weights. Parts of the training recipe. */
export const OPTIMIZER_KINDS = ['adam', 'adamw', 'sgd'] as const;
export type OptimizerKind = (typeof OPTIMIZER_KINDS)[number];
export const SCHEDULE_KINDS = ['constant', 'cosine', 'exponential'] as const;
export type ScheduleKind = (typeof SCHEDULE_KINDS)[number];
export const CLASS_WEIGHTINGS = ['none', 'balanced'] as const;
export type ClassWeighting = (typeof CLASS_WEIGHTINGS)[number];
export const FREEZE_LIMITS = ['none', 'head'] as const;

interface RawIssue {
  readonly code?: string | undefined;
  readonly input?: unknown;
  readonly keys?: unknown;
}

/** A number whose error says the value, the rule and the allowed range. */
export function numberWithin(min: number, max: number) {
  const error = (limit: string) => (issue: RawIssue) => `${String(issue.input)} ${limit}; use a number from ${min} to ${max}`;
  return z
    .number()
    .min(min, { error: error(`must be at least ${min}`) })
    .max(max, { error: error(`must be at most ${max}`) });
}

const steps = z
  .number()
  .int('must be a whole number')
  .min(0, { error: ({ input }: RawIssue) => `${String(input)} must be at least 0: 0 means no warm-up` })
  .max(1_000_000, { error: ({ input }: RawIssue) => `${String(input)} must be at most 1000000` });

const adamFields = (epsilon: number) => ({
  /** Decay of the running mean of the gradient. */
  beta1: numberWithin(0, 0.9999).default(0.9),
  /** Decay of the running mean of its square. */
  beta2: numberWithin(0, 0.99999).default(0.999),
  // Below this it is lost beside the root of the second moment in float32.
  epsilon: numberWithin(1e-12, 1).default(epsilon),
});

const OPTIMIZER_FIELDS = {
  adam: adamFields(1e-7),
  adamw: {
    ...adamFields(1e-8),
    /** λ: each step takes learningRate · λ of every kernel; never of batch norm or biases. */
    weightDecay: numberWithin(0, 1).default(0.02),
  },
  sgd: {
    momentum: numberWithin(0, 0.9999).default(0.9),
    /** Looks ahead along the momentum; without it this is the heavy ball. */
    nesterov: z.boolean().default(true),
  },
} as const;

const SCHEDULE_FIELDS = {
  constant: { warmupSteps: steps.default(0) },
  cosine: {
    warmupSteps: steps.default(0),
    /** Share of the learning rate that is left at the end. */
    finalFraction: numberWithin(0, 1).default(0),
  },
  exponential: { warmupSteps: steps.default(0), finalFraction: numberWithin(1e-6, 1).default(0.01) },
} as const;

/** Says which kinds a misplaced field belongs to. */
function foreignFieldError(what: string, kind: string, fieldsOf: Readonly<Record<string, object>>) {
  return (issue: RawIssue): string | undefined => {
    if (issue.code !== 'unrecognized_keys' || !Array.isArray(issue.keys)) return undefined;
    const values: Readonly<Record<string, unknown>> = { ...Object(issue.input) };
    return issue.keys
      .map((key) => {
        const owners = Object.keys(fieldsOf).filter((owner) => Object.hasOwn(fieldsOf[owner] ?? {}, String(key)));
        const fix = owners.length > 0 ? `leave it out, or use kind ${owners.map((owner) => `"${owner}"`).join(' or ')}` : 'leave it out';
        return `${String(key)} ${String(values[String(key)])} does not belong to ${what} kind "${kind}": ${fix}`;
      })
      .join('; ');
  };
}

function unknownKindError(what: string, kinds: readonly string[]) {
  return (issue: RawIssue): string => {
    const fields: Readonly<Record<string, unknown>> = { ...Object(issue.input) };
    return `unknown ${what} kind "${String(fields['kind'])}": use one of ${kinds.join(', ')}`;
  };
}

const optimizerError = (kind: OptimizerKind) => foreignFieldError('optimizer', kind, OPTIMIZER_FIELDS);
const scheduleError = (kind: ScheduleKind) => foreignFieldError('schedule', kind, SCHEDULE_FIELDS);

export const OptimizerSchema = z.discriminatedUnion(
  'kind',
  [
    /** Kingma & Ba 2015. */
    z.strictObject({ kind: z.literal('adam'), ...OPTIMIZER_FIELDS.adam }, { error: optimizerError('adam') }),
    /** Adam with decoupled weight decay: Loshchilov & Hutter 2019, algorithm 2. */
    z.strictObject({ kind: z.literal('adamw'), ...OPTIMIZER_FIELDS.adamw }, { error: optimizerError('adamw') }),
    /** Gradient descent with momentum: Sutskever et al. 2013. */
    z.strictObject({ kind: z.literal('sgd'), ...OPTIMIZER_FIELDS.sgd }, { error: optimizerError('sgd') }),
  ],
  { error: unknownKindError('optimizer', OPTIMIZER_KINDS) },
);
export type OptimizerRecipe = z.infer<typeof OptimizerSchema>;

/** After a linear rise over `warmupSteps`: unchanged, along a half cosine, or by the same factor each step, down to finalFraction. */
export const ScheduleSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('constant'), ...SCHEDULE_FIELDS.constant }, { error: scheduleError('constant') }),
    z.strictObject({ kind: z.literal('cosine'), ...SCHEDULE_FIELDS.cosine }, { error: scheduleError('cosine') }),
    z.strictObject({ kind: z.literal('exponential'), ...SCHEDULE_FIELDS.exponential }, { error: scheduleError('exponential') }),
  ],
  { error: unknownKindError('schedule', SCHEDULE_KINDS) },
);
export type ScheduleRecipe = z.infer<typeof ScheduleSchema>;

/** Fields of the recipe about updates beyond optimiser and schedule. */
export const UPDATE_FIELDS = {
  /** Longest allowed L2 norm of the averaged gradient of all parameters; a longer one is scaled down to it. null: never. */
  clipNorm: numberWithin(1e-6, 1e6).nullable().default(null),
  /**
   * Layer-wise decay of the learning rate: the classifier learns with the whole of it, the last block with this share, the block before
   * with its square, and so on down to the stem. null: every layer learns with the whole.
   */
  layerDecay: numberWithin(0.01, 1).nullable().default(null),
  /** Decay of the moving average of the weights that evaluation and the saved model use; null: they use the weights themselves. */
  emaDecay: numberWithin(0.5, 0.99999).nullable().default(null),
  /** `balanced`: every class counts the same in the loss, whatever its share of the train split. */
  classWeights: z
    .enum(CLASS_WEIGHTINGS, { error: ({ input }) => `unknown classWeights "${String(input)}": use none or balanced` })
    .default('none'),
  /**
   * With `head` only the classifier learns in the first so many epochs; then all does, with an optimiser that starts afresh. Running
   * statistics are no weights: they follow `batchNorm` all the time.
   */
  freeze: z
    .object({
      until: z.enum(FREEZE_LIMITS, { error: ({ input }) => `unknown freeze.until "${String(input)}": use none or head` }).default('none'),
      epochs: z.number().int('must be a whole number').pipe(numberWithin(0, 10_000)).default(0),
    })
    .superRefine(({ until, epochs }, ctx) => {
      if (until === 'none' && epochs > 0) ctx.addIssue(`epochs ${epochs} freeze nothing with until "none": use until "head", or epochs 0`);
      if (until === 'head' && epochs === 0) ctx.addIssue('epochs 0 freeze nothing with until "head": use at least 1, or until "none"');
    })
    .default({ until: 'none', epochs: 0 }),
};
