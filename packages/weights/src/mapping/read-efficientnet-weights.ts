import type { EfficientNetSpec, ModelVectors } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import type { NamedTensor, NamedTensors } from '../named-tensor.js';
import { transpose } from '../strided.js';
import { detectWeightSource } from './detect-source.js';
import { renameKerasTensors } from './keras-names.js';
import { kerasNormalization } from './keras-normalization.js';
import { sourceNames } from './source-names.js';
import { WEIGHT_SOURCES, weightFacts } from './sources.js';
import type { WeightFacts, WeightNaming, WeightSource } from './sources.js';
import { assertNoProblems, firstNotFinite, noProblems } from './tensor-problems.js';

/** The network that weights are wanted for: names and shapes of its tensors. */
export type WeightsTarget = { readonly variant: string } & Readonly<
  Record<'parameters' | 'statistics', { readonly entries: readonly TargetTensor[] }>
>;
type TargetTensor = { readonly name: string; readonly shape: readonly number[] };

export interface EfficientNetWeights {
  readonly source: WeightSource;
  /** What the weights need to mean what they meant: padding, batch norm, preprocessing. */
  readonly facts: WeightFacts;
  /** By our names, in our layout: convolutions [h, w, in, out], depthwise [h, w, channels, 1], dense [in, out]. */
  readonly tensors: NamedTensors;
  /** Classes of the file's classifier; null when it has none. */
  readonly fileClasses: number | null;
  /** Our names of the classifier's tensors where the file's does not fit; the caller initialises them. Empty when it fits. */
  readonly replaced: readonly string[];
  /** The file's tensors that are none of the network's: counters, and Keras' preprocessing, which is in the facts. */
  readonly ignored: readonly string[];
}

export const HEAD = 'predictions/';
export const HEAD_KERNEL = `${HEAD}kernel`;
/** What `torch.nn.DataParallel` puts before all names. */
const DATA_PARALLEL_PREFIX = 'module.';
export const IGNORED_NAMES = /(^|\.)num_batches_tracked$|(^|\/)normalization(_\d+)?\/|(^|\/)rescaling(_\d+)?\/|\/seed_generator(_\d+)?\//;

/**
 * The tensors of a weight file as those of one of our networks.
 *
 * A classifier for another number of classes, or none at all, is left out and reported as replaced. Everything else has to fit.
 *
 * @param target for example `efficientNetSpec('B0', 3)`
 * @param source detected from the names where that is possible
 * @throws WeightsFileError `WEIGHTS_MISMATCH` listing all tensors that are missing, unexpected, of another shape or not finite;
 *   `WEIGHTS_UNKNOWN_SOURCE`
 */
export function readEfficientNetWeights(
  file: NamedTensors,
  { target, source: givenSource }: { readonly target: WeightsTarget; readonly source?: WeightSource },
): EfficientNetWeights {
  const stripped = withoutPrefix(file);
  const source = givenSource ?? detectWeightSource(stripped);
  const { naming } = WEIGHT_SOURCES[source];
  const entries = [...target.parameters.entries, ...target.statistics.entries];
  const names = sourceNames(
    naming,
    entries.map(({ name }) => name),
  );
  const layers = [...new Set(target.parameters.entries.map(({ name }) => name.slice(0, name.indexOf('/'))))];
  const remaining = naming === 'keras' ? renameKerasTensors(stripped, layers) : new Map(stripped);

  const head = headTensors(remaining, names, naming);
  const classes = target.parameters.entries.find(({ name }) => name === HEAD_KERNEL)?.shape.at(-1) ?? null;
  const fileClasses = head.kernel?.shape.at(-1) ?? null;
  const replacesHead = head.present === 0 || (fileClasses !== null && fileClasses !== classes);

  const tensors = new Map<string, NamedTensor>();
  const replaced: string[] = [];
  const problems = noProblems();
  for (const { name, shape } of entries) {
    const sourceName = names.get(name) ?? name;
    const found = remaining.get(sourceName);
    remaining.delete(sourceName);
    if (replacesHead && name.startsWith(HEAD)) {
      replaced.push(name);
    } else if (!found) {
      problems.missing.push(sourceName);
    } else {
      const tensor = convert(found, name, shape, naming);
      if (tensor.shape.join() !== shape.join()) {
        problems.misshapen.push(
          `${found.name} [${found.shape.join(', ')}] is [${tensor.shape.join(', ')}] here, expected [${shape.join(', ')}]`,
        );
      } else {
        const notFinite = firstNotFinite(tensor.data);
        if (notFinite !== undefined) problems.notFinite.push(`${found.name}: ${notFinite}`);
      }
      tensors.set(name, tensor);
    }
  }
  const left = [...remaining.values()].map(({ name }) => name);
  problems.unexpected.push(...left.filter((name) => !IGNORED_NAMES.test(name)));
  const rule = `the file has to hold every tensor of EfficientNet-${target.variant} by the names of ${source}, and no others`;
  assertNoProblems(problems, { rule }, { variant: target.variant, source });
  const normalization = naming === 'keras' ? kerasNormalization(stripped) : null;
  const facts = { ...weightFacts(source, target.variant), ...(normalization && { normalization }) };
  return { source, facts, tensors, fileClasses, replaced, ignored: left };
}

/**
 * Puts weights into the flat vectors of a network.
 *
 * @param initial of the same spec; what the file does not have (a replaced classifier) stays as it is there. Not changed.
 */
export function toModelVectors(
  { tensors }: { readonly tensors: ReadonlyMap<string, Pick<NamedTensor, 'data'>> },
  spec: EfficientNetSpec,
  initial: ModelVectors,
): ModelVectors {
  const fill = (vector: Float32Array, layout: StateLayout) => {
    const filled = Float32Array.from(vector);
    for (const entry of layout.entries) {
      const tensor = tensors.get(entry.name);
      if (tensor) viewEntry(filled, entry).set(tensor.data);
    }
    return filled;
  };
  return { weights: fill(initial.weights, spec.parameters), statistics: fill(initial.statistics, spec.statistics) };
}

/** Without what DataParallel put before all names, where it did. */
export function withoutPrefix(file: NamedTensors): NamedTensors {
  const names = [...file.keys()];
  if (names.length === 0 || !names.every((name) => name.startsWith(DATA_PARALLEL_PREFIX))) return file;
  return new Map([...file].map(([name, tensor]) => [name.slice(DATA_PARALLEL_PREFIX.length), tensor]));
}

function headTensors(file: NamedTensors, names: ReadonlyMap<string, string>, naming: WeightNaming) {
  const headNames = [...names].filter(([name]) => name.startsWith(HEAD));
  const present = headNames.filter(([, sourceName]) => file.has(sourceName)).length;
  const kernel = file.get(names.get(HEAD_KERNEL) ?? HEAD_KERNEL);
  return { present, kernel: kernel && convert(kernel, HEAD_KERNEL, [0, 0], naming) };
}

/** PyTorch's layouts to ours; a 1 × 1 convolution where we have a dense layer, and the other way round, is the same numbers. */
function convert(tensor: NamedTensor, name: string, shape: readonly number[], naming: WeightNaming): NamedTensor {
  const moved = naming === 'keras' ? tensor : { ...tensor, ...transpose(tensor.data, tensor.shape, torchAxes(tensor.shape.length, name)) };
  return { ...moved, name, shape: withoutUnits(moved.shape, shape.length) };
}

/** For each of our axes, PyTorch's: [out, in, h, w] → [h, w, in, out], depthwise [channels, 1, h, w] → [h, w, channels, 1], [out, in] → [in, out]. */
function torchAxes(rank: number, name: string): readonly number[] {
  if (rank === 4) return name.endsWith('dwconv/kernel') ? [2, 3, 0, 1] : [2, 3, 1, 0];
  return rank === 2 ? [1, 0] : Array.from({ length: rank }, (_, axis) => axis);
}

/** Adds or removes leading ones to come to a rank, as far as there are any. */
function withoutUnits(shape: readonly number[], rank: number): readonly number[] {
  if (shape.length < 2 || rank < 2) return shape;
  if (shape.length < rank) return [...Array.from({ length: rank - shape.length }, () => 1), ...shape];
  const excess = shape.length - rank;
  return shape.slice(0, excess).every((dimension) => dimension === 1) ? shape.slice(excess) : shape;
}
