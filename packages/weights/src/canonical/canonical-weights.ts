import { createHash } from 'node:crypto';
import { EFFICIENTNET_VARIANT_NAMES, WEIGHT_LIBRARIES, WeightConventionsSchema } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import type { EfficientNetSpec, ModelVectors } from '@roentgen/efficientnet';
import { SafetensorsError, decodeSafetensors, encodeSafetensors, readSafetensorsMetadata } from '@roentgen/tensorflow';
import type { NamedTensor } from '@roentgen/tensorflow';
import { z } from 'zod';
import { WeightsFileError } from '../errors.js';
import { HEAD, HEAD_KERNEL, toModelVectors } from '../mapping/read-efficientnet-weights.js';
import type { EfficientNetWeights } from '../mapping/read-efficientnet-weights.js';

export const WEIGHTS_FORMAT = 'roentgen-weights/1';

const WeightsDescriptionSchema = z.object({
  format: z.literal(WEIGHTS_FORMAT),
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  library: z.enum(WEIGHT_LIBRARIES),
  conventions: WeightConventionsSchema,
  /** Of the classifier; null when there is none in the file. */
  classes: z.int().min(2).nullable(),
  /** Of the file that the weights came in. */
  sourceSha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** What our own files of weights say about themselves. */
export type WeightsDescription = Readonly<z.infer<typeof WeightsDescriptionSchema>>;

/** Weights in our own form. */
export interface StoredWeights {
  readonly description: WeightsDescription;
  /** By our names in our layout: those of the spec of the variant, the classifier only where `classes` says so. */
  readonly tensors: ReadonlyMap<string, NamedTensor>;
}

/** Weights by our names, as they were read from any file. */
export interface WeightsToStore extends Pick<EfficientNetWeights, 'source' | 'facts'> {
  readonly tensors: ReadonlyMap<string, Pick<NamedTensor, 'data'>>;
}

/** Metadata values are texts: the description is one of them, as JSON. */
const DESCRIPTION_KEY = 'description';
const MIN_CLASSES = 2;

/**
 * Our own file: float32 safetensors in the order of the spec, what the weights were trained with in its metadata. Equal weights give equal bytes.
 * @param weights complete for its variant but for the classifier
 */
export function encodeWeights(weights: WeightsToStore, identity: Pick<WeightsDescription, 'variant' | 'classes' | 'sourceSha256'>) {
  const { variant, classes, sourceSha256 } = identity;
  const description: WeightsDescription = {
    format: WEIGHTS_FORMAT,
    variant,
    library: weights.source,
    conventions: weights.facts,
    classes,
    sourceSha256,
  };
  const tensors = tensorsOf(specOf(description), classes).map(({ name, shape }) => {
    const tensor = weights.tensors.get(name);
    if (!tensor) throw new RangeError(`the weights lack "${name}", although they were read as those of ${variant}`);
    return { name, shape, data: tensor.data };
  });
  const bytes = encodeSafetensors(tensors, { format: WEIGHTS_FORMAT, [DESCRIPTION_KEY]: JSON.stringify(description) });
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex'), description, parameterCount: parameterCount(description) };
}

/** Whether the file says that it is of our form; what it holds may still be wrong. */
export function isOwnFile(file: Uint8Array): boolean {
  try {
    return readSafetensorsMetadata(file)['format'] === WEIGHTS_FORMAT;
  } catch {
    return false;
  }
}

/**
 * @throws WeightsFileError `WEIGHTS_MALFORMED` when it is none of our files, or does not hold what it says; `WEIGHTS_MISMATCH` when no network
 *   can compute under its conventions
 */
export function decodeWeights(file: Uint8Array): StoredWeights {
  try {
    const description: unknown = JSON.parse(readSafetensorsMetadata(file)[DESCRIPTION_KEY] ?? 'null');
    const parsed = WeightsDescriptionSchema.safeParse(description, { reportInput: true });
    if (!parsed.success) throw badDescription(parsed.error);
    const tensors = decodeSafetensors(file);
    checkTensors(tensors, parsed.data);
    return { description: parsed.data, tensors };
  } catch (cause) {
    if (cause instanceof SafetensorsError || cause instanceof SyntaxError) throw malformed(cause.message, { cause });
    throw cause;
  }
}

/**
 * The vectors that training starts with.
 * @param initial fresh ones of the same spec: where the classifiers have other numbers of classes, theirs stays
 * @throws WeightsFileError `WEIGHTS_MISMATCH` when the spec is of another variant
 */
export function startFrom(
  { description, tensors }: StoredWeights,
  spec: EfficientNetSpec,
  initial: ModelVectors,
): { readonly vectors: ModelVectors; readonly freshHead: boolean } {
  if (description.variant !== spec.variant) {
    throw new WeightsFileError('WEIGHTS_MISMATCH', {
      value: `weights of EfficientNet-${description.variant}`,
      rule: `the network is EfficientNet-${spec.variant}`,
      fix: `Train the variant ${description.variant}, or start from other weights.`,
    });
  }
  const freshHead = description.classes !== spec.numClasses;
  const taken = freshHead ? new Map([...tensors].filter(([name]) => !name.startsWith(HEAD))) : tensors;
  return { vectors: toModelVectors({ tensors: taken }, spec, initial), freshHead };
}

const specOf = ({ variant, classes }: Pick<WeightsDescription, 'variant' | 'classes'>) => efficientNetSpec(variant, classes ?? MIN_CLASSES);

function tensorsOf({ parameters, statistics }: EfficientNetSpec, classes: number | null) {
  return [...parameters.entries, ...statistics.entries].filter(({ name }) => classes !== null || !name.startsWith(HEAD));
}

function parameterCount(description: WeightsDescription): number {
  return specOf(description)
    .parameters.entries.filter(({ name }) => description.classes !== null || !name.startsWith(HEAD))
    .reduce((sum, { length }) => sum + length, 0);
}

function checkTensors(tensors: StoredWeights['tensors'], description: WeightsDescription): void {
  const expected = tensorsOf(specOf(description), description.classes);
  const wrong = expected.find(({ name, shape }) => tensors.get(name)?.shape.join() !== shape.join());
  if (wrong) throw malformed(`"${wrong.name}" [${tensors.get(wrong.name)?.shape.join(', ') ?? 'missing'}]`);
  if (tensors.size !== expected.length) throw malformed(`${tensors.size} tensors where ${expected.length} belong`);
}

/** What was trained with a standard deviation of 0 is a question of the weights, not of the form of the file. */
function badDescription(error: z.ZodError): WeightsFileError {
  if (!error.issues.every(({ path }) => path[0] === 'conventions' && path.length > 1)) {
    return malformed(`the description of the file (${z.prettifyError(error)})`);
  }
  return new WeightsFileError('WEIGHTS_MISMATCH', {
    value: error.issues.map(({ path, input, message }) => `${path.join('.')} = ${JSON.stringify(input)}: ${message}`).join('; '),
    rule: 'the conventions of the file are those of a network that can be computed, such as standard deviations above 0',
    fix: 'Correct the conventions in the metadata of the file, or import the file that the weights came in.',
  });
}

function malformed(value: string, options?: ErrorOptions): WeightsFileError {
  return new WeightsFileError(
    'WEIGHTS_MALFORMED',
    {
      value,
      rule: `a file of the form ${WEIGHTS_FORMAT} holds each tensor of its variant (such as "${HEAD_KERNEL}")`,
      fix: 'Import the weights again.',
    },
    options,
  );
}
