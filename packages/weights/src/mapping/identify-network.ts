import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import type { EfficientNetVariant } from '@roentgen/domain';
import { EFFICIENTNET_VARIANTS, efficientNetSpec } from '@roentgen/efficientnet';
import type { NamedTensor, NamedTensors } from '../named-tensor.js';
import { detectWeightSource } from './detect-source.js';
import { renameKerasTensors } from './keras-names.js';
import { HEAD, HEAD_KERNEL, IGNORED_NAMES, withoutPrefix } from './read-efficientnet-weights.js';
import { sourceNames } from './source-names.js';
import { WEIGHT_SOURCES } from './sources.js';
import type { WeightSource } from './sources.js';

/** Which network a file holds. */
export interface NetworkIdentity {
  readonly source: WeightSource;
  readonly variant: EfficientNetVariant;
  /** Of its classifier; null when it has none, or one that tells nothing apart. */
  readonly classes: number | null;
}

/** Classes of the specs that are compared with; the classifier is left out of the comparison. */
const ANY_CLASSES = 2;

/**
 * Tells library, variant and classes from names and sizes of the tensors. Where no variant fits, the one that fits best: reading the file as
 * that one then lists what is wrong with it.
 *
 * @throws WeightsFileError `WEIGHTS_UNKNOWN_SOURCE` when the library is not given and cannot be told
 */
export function identifyNetwork(
  file: NamedTensors,
  given: { readonly source?: WeightSource | undefined; readonly variant?: EfficientNetVariant | undefined } = {},
): NetworkIdentity {
  const tensors = withoutPrefix(file);
  const source = given.source ?? detectWeightSource(tensors);
  const { squeezeExcite } = WEIGHT_SOURCES[source];
  const candidates = EFFICIENTNET_VARIANT_NAMES.filter((name) =>
    given.variant === undefined ? EFFICIENTNET_VARIANTS[name].hasSqueezeExcite === squeezeExcite : name === given.variant,
  );
  const [best] = candidates.map((variant) => compare(tensors, source, variant)).sort((a, b) => a.differences - b.differences);
  if (!best) throw new RangeError(`no variant has squeeze-and-excitation ${squeezeExcite}`);
  return { source, variant: best.variant, classes: best.classes };
}

/** How many tensors of the body are missing, of another size or too many. */
function compare(file: NamedTensors, source: WeightSource, variant: EfficientNetVariant) {
  const { naming } = WEIGHT_SOURCES[source];
  const { parameters, statistics } = efficientNetSpec(variant, ANY_CLASSES);
  const entries = [...parameters.entries, ...statistics.entries];
  const layers = [...new Set(parameters.entries.map(({ name }) => name.slice(0, name.indexOf('/'))))];
  const tensors = naming === 'keras' ? renameKerasTensors(file, layers) : file;
  const names = sourceNames(
    naming,
    entries.map(({ name }) => name),
  );
  const known = new Set(names.values());
  const wrong = entries.filter(
    ({ name, length }) => !name.startsWith(HEAD) && tensors.get(names.get(name) ?? name)?.data.length !== length,
  );
  const foreign = [...tensors].filter(([name, tensor]) => !known.has(name) && !IGNORED_NAMES.test(tensor.name));
  const inputs = parameters.entries.find(({ name }) => name === HEAD_KERNEL)?.shape[0] ?? 1;
  const classes = classesOf(tensors.get(names.get(HEAD_KERNEL) ?? HEAD_KERNEL), inputs);
  return { variant, differences: wrong.length + foreign.length, classes };
}

function classesOf(kernel: NamedTensor | undefined, inputs: number): number | null {
  const classes = (kernel?.data.length ?? 0) / inputs;
  return Number.isInteger(classes) && classes >= 2 ? classes : null;
}
