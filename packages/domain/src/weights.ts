import { z } from 'zod';
import { Sha256Schema } from './entities.js';
import { idSchema } from './ids.js';
import { EFFICIENTNET_VARIANT_NAMES } from './recipe.js';

/** States of a weight set: its file is on the way and looked at, can be trained from, or was refused with a reason. */
export const WEIGHT_SET_STATUSES = ['IMPORTING', 'READY', 'FAILED'] as const;
export type WeightSetStatus = (typeof WEIGHT_SET_STATUSES)[number];

/**
 * Who trained and wrote a file of weights, which decides what the tensors are called and what they were trained with. `timm` are weights
 * trained in timm (`efficientnet_b0` …), `timm-tf` those that it took over from TensorFlow (`tf_efficientnet_b0` …).
 */
export const WEIGHT_LIBRARIES = [
  'torchvision',
  'timm',
  'timm-tf',
  'timm-tf-lite',
  'keras',
  'efficientnet-pytorch',
  'efficientnet-lite-pytorch',
] as const;
export type WeightLibrary = (typeof WEIGHT_LIBRARIES)[number];

/** What a user calls a weight set, a catalogue entry or a run: what is too long or deceives whoever reads a list is refused. */
export const MAX_WEIGHT_SET_NAME_LENGTH = 200;

/** Larger than any file of the family with its optimiser; also the most that is fetched or uploaded. */
export const MAX_WEIGHTS_FILE_BYTES = 2 ** 30;

const perChannel = z.tuple([z.number(), z.number(), z.number()]).readonly();
const positivePerChannel = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).readonly();

/** What a set of weights was trained with. The numbers are as much part of it as the tensors: under others the same tensors predict something else. */
export const WeightConventionsSchema = z.object({
  /** Of strided convolutions: TensorFlow's SAME, or (k − 1) / 2 on each side. */
  padding: z.enum(['same', 'symmetric']),
  batchNormEpsilon: z.number().positive(),
  /** Share of the old value that a running statistic keeps per step (Keras' convention; PyTorch's `momentum` is 1 minus this). */
  batchNormMomentum: z.number().min(0).max(1),
  activation: z.enum(['silu', 'relu6']),
  /** Per channel R, G, B: (byte / 255 − mean) / std, std above 0. */
  normalization: z.object({ mean: perChannel, std: positivePerChannel }).readonly(),
  /** How its authors resized images. */
  interpolation: z.enum(['bicubic', 'bilinear']),
});
export type WeightConventions = Readonly<z.infer<typeof WeightConventionsSchema>>;

/** What a worker found in a file and stored. */
export const ImportedWeightsSchema = z.object({
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  library: z.enum(WEIGHT_LIBRARIES),
  conventions: WeightConventionsSchema,
  /** Of its classifier; null when it has none. */
  classes: z.number().int().min(2).nullable(),
  /** Trained numbers, the classifier's included; running statistics are not counted. */
  parameterCount: z.number().int().positive(),
  /** Of the stored file. */
  sha256: Sha256Schema,
  bytes: z.number().int().positive(),
  /** Of the file that it was made from. */
  sourceSha256: Sha256Schema,
});
export type ImportedWeights = z.infer<typeof ImportedWeightsSchema>;

/** Weights as a worker needs them to start from. */
export const WeightSetRefSchema = z.object({
  weightSetId: idSchema('wts'),
  name: z.string().min(1),
  objectKey: z.string().min(1),
  sha256: Sha256Schema,
  bytes: z.number().int().positive(),
});
export type WeightSetRef = z.infer<typeof WeightSetRefSchema>;
