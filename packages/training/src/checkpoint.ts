import { createHash } from 'node:crypto';
import { EFFICIENTNET_VARIANT_NAMES, TrainingRecipeSchema } from '@roentgen/domain';
import type { TrainingRecipe } from '@roentgen/domain';
import { EFFICIENTNET_VARIANTS, efficientNetSpec } from '@roentgen/efficientnet';
import type { EfficientNetSpec, ModelConventions, ModelVectors } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import { z } from 'zod';
import type { EvaluationMetrics } from './classification-metrics.js';
import { CheckpointError } from './errors.js';
import { decodeLossScaling, encodeLossScaling } from './loss-scaling.js';
import type { LossScaling } from './loss-scaling.js';
import { optimizerSlots } from './optimizer/training-state.js';
import type { TrainingState } from './optimizer/training-state.js';
import { ModelConventionsSchema } from './preprocessing.js';
import { decodeSafetensors, encodeSafetensors } from './safetensors.js';
import type { NamedTensor } from './safetensors.js';

export const CHECKPOINT_FORMAT = 'roentgen-checkpoint/1';
/** Weights that are trained, where the plain names hold their moving average: what has no prefix is always the model. */
const RAW = 'raw/';
/** What fp16 knows about the scale of its gradients. */
const LOSS_SCALING = 'loss_scaling';
const slotPrefix = (slot: string) => `optimizer/${slot}/`;
/** How slots were named while Adam was the only optimiser. */
const legacySlotPrefix = (slot: string) => `adam/${slot}/`;

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

const EvaluationMetricsSchema: z.ZodType<EvaluationMetrics> = z.object({
  n: z.int().positive(),
  // JSON has no NaN or infinity; a diverged model may still be looked at.
  loss: z
    .number()
    .nullable()
    .transform((loss) => loss ?? Number.NaN),
  accuracy: z.number(),
  majorityBaselineAccuracy: z.number(),
  sensitivity: z.array(z.object({ class: z.string(), n: z.int(), value: z.number().nullable() })),
  confusionMatrix: z.array(z.array(z.int())),
  auroc: z.number().nullable(),
});

const DescriptionFields = z.object({
  format: z.literal(CHECKPOINT_FORMAT),
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  imageSizePx: z.int().positive(),
  /** In the order of the logits. */
  classes: z.array(z.string()).min(2),
  recipe: TrainingRecipeSchema,
  /** Epoch of the last committed step, from 1. */
  epoch: z.int().min(0),
  /** Committed steps. */
  step: z.int().min(0),
  /** Hash of names, shapes and order of all tensors. */
  layoutHash: sha256Hex,
  /** Left out in the first checkpoints: their weights were trained under the conventions of the variant's authors. */
  conventions: ModelConventionsSchema.optional(),
  /** On the validation split at this step; null when it was not evaluated. */
  metrics: EvaluationMetricsSchema.nullable(),
  tensors: z.object({ sha256: sha256Hex, bytes: z.int().positive() }),
});

/** What lies beside the tensor file: everything needed to go on or to predict, and the hash that ties the two together. */
export const CheckpointDescriptionSchema = DescriptionFields.transform(({ conventions, ...description }) => ({
  ...description,
  conventions: conventions ?? EFFICIENTNET_VARIANTS[description.variant].conventions,
}));
export type CheckpointDescription = z.output<typeof CheckpointDescriptionSchema>;

export interface CheckpointFacts {
  readonly recipe: TrainingRecipe;
  readonly classes: readonly string[];
  readonly epoch: number;
  readonly step: number;
  readonly conventions: ModelConventions;
  readonly metrics: EvaluationMetrics | null;
}

/** A checkpoint as bytes: `tensors` is a safetensors file, `description` goes into a JSON file beside it. */
export interface EncodedCheckpoint {
  readonly tensors: Uint8Array;
  readonly description: CheckpointDescription;
  /** Of the tensor file. */
  readonly sha256: string;
}

export interface TrainingCheckpoint {
  readonly description: CheckpointDescription;
  readonly state: TrainingState;
}

export interface Model extends ModelVectors {
  readonly description: CheckpointDescription;
}

export function encodeCheckpoint(state: TrainingState, facts: CheckpointFacts): EncodedCheckpoint {
  const { recipe, classes } = facts;
  const spec = efficientNetSpec(recipe.variant, classes.length, facts.conventions);
  const tensors = encodeSafetensors(
    [
      ...namedTensors(state.ema ?? state.weights, spec.parameters),
      ...namedTensors(state.statistics, spec.statistics),
      ...(state.ema ? namedTensors(state.weights, spec.parameters, RAW) : []),
      ...Object.entries(state.slots).flatMap(([slot, vector]) => namedTensors(vector, spec.parameters, slotPrefix(slot))),
      ...(state.lossScaling ? [{ name: LOSS_SCALING, shape: [3], data: encodeLossScaling(state.lossScaling) }] : []),
    ],
    { format: CHECKPOINT_FORMAT },
  );
  const sha256 = sha256Of(tensors);
  const description: CheckpointDescription = {
    format: CHECKPOINT_FORMAT,
    variant: recipe.variant,
    imageSizePx: recipe.imageSizePx,
    ...facts,
    classes: [...classes],
    layoutHash: layoutHash(spec),
    tensors: { sha256, bytes: tensors.length },
  };
  return { tensors, description, sha256 };
}

/** Everything needed to go on training. @throws CheckpointError naming what is wrong */
export function decodeCheckpoint(file: Uint8Array, description: unknown): TrainingCheckpoint {
  const opened = open(file, description);
  const { spec, tensors } = opened;
  const { recipe } = opened.description;
  const model = flatVector(tensors, spec.parameters);
  const slots = optimizerSlots(recipe);
  const isLegacy = recipe.optimizer.kind === 'adam' && [...tensors.keys()].some((name) => name.startsWith(legacySlotPrefix('m')));
  const prefixOf = isLegacy ? legacySlotPrefix : slotPrefix;
  const state: TrainingState = {
    weights: recipe.emaDecay === null ? model : flatVector(tensors, spec.parameters, RAW),
    slots: Object.fromEntries(slots.map((slot) => [slot, flatVector(tensors, spec.parameters, prefixOf(slot))])),
    ema: recipe.emaDecay === null ? null : model,
    statistics: flatVector(tensors, spec.statistics),
    lossScaling: recipe.precision === 'fp16' ? lossScalingOf(tensors) : null,
  };
  const vectorsOfParameters = 1 + slots.length + (state.ema ? 1 : 0);
  const known = vectorsOfParameters * spec.parameters.entries.length + spec.statistics.entries.length + (state.lossScaling ? 1 : 0);
  if (tensors.size !== known) {
    throw new CheckpointError(`the file holds ${tensors.size} tensors, this network and its optimiser have ${known}.`, {
      tensors: tensors.size,
      known,
    });
  }
  return { description: opened.description, state };
}

/** What prediction needs: the moving average of the weights where there is one; the optimiser's part of the file is not looked at. @throws CheckpointError naming what is wrong */
export function decodeModel(file: Uint8Array, description: unknown): Model {
  const { description: parsed, spec, tensors } = open(file, description);
  return { description: parsed, weights: flatVector(tensors, spec.parameters), statistics: flatVector(tensors, spec.statistics) };
}

function open(file: Uint8Array, input: unknown) {
  const parsed = CheckpointDescriptionSchema.safeParse(input);
  if (!parsed.success) throw new CheckpointError(`the description is no ${CHECKPOINT_FORMAT}: ${z.prettifyError(parsed.error)}`);
  const description = parsed.data;
  if (file.length !== description.tensors.bytes) {
    throw new CheckpointError(
      `the tensor file has ${file.length} bytes, its description says ${description.tensors.bytes}: it is truncated or belongs to another checkpoint.`,
    );
  }
  const sha256 = sha256Of(file);
  if (sha256 !== description.tensors.sha256) {
    throw new CheckpointError(
      `the tensor file has SHA-256 ${sha256}, its description says ${description.tensors.sha256}: it is damaged or belongs to another checkpoint.`,
    );
  }
  const spec = efficientNetSpec(description.variant, description.classes.length, description.conventions);
  if (layoutHash(spec) !== description.layoutHash) {
    throw new CheckpointError(
      `the tensors of this ${description.variant} are laid out as ${description.layoutHash}, this program lays them out as ${layoutHash(spec)}.`,
    );
  }
  return { description, spec, tensors: decodeSafetensors(file) };
}

function namedTensors(vector: Float32Array, layout: StateLayout, prefix = ''): NamedTensor[] {
  return layout.entries.map((entry) => ({ name: prefix + entry.name, shape: entry.shape, data: viewEntry(vector, entry) }));
}

function flatVector(tensors: ReadonlyMap<string, NamedTensor>, layout: StateLayout, prefix = ''): Float32Array {
  const vector = new Float32Array(layout.length);
  for (const entry of layout.entries) {
    const name = prefix + entry.name;
    const tensor = tensors.get(name);
    const expected = `[${entry.shape.join(', ')}]`;
    if (!tensor) throw new CheckpointError(`tensor "${name}" ${expected} is missing.`, { name });
    if (tensor.shape.join() !== entry.shape.join()) {
      throw new CheckpointError(`tensor "${name}" has shape [${tensor.shape.join(', ')}], expected ${expected}.`, {
        name,
        shape: tensor.shape,
      });
    }
    viewEntry(vector, entry).set(tensor.data);
  }
  return vector;
}

function lossScalingOf(tensors: ReadonlyMap<string, NamedTensor>): LossScaling {
  try {
    return decodeLossScaling(tensors.get(LOSS_SCALING)?.data ?? new Float32Array());
  } catch (cause) {
    throw new CheckpointError(
      `tensor "${LOSS_SCALING}" of an fp16 run is missing or wrong: ${String(cause)}`,
      { name: LOSS_SCALING },
      { cause },
    );
  }
}

function layoutHash(spec: EfficientNetSpec): string {
  const layouts = [spec.parameters, spec.statistics].map(({ entries }) => entries.map(({ name, shape }) => [name, shape]));
  return sha256Of(new TextEncoder().encode(JSON.stringify(layouts)));
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
