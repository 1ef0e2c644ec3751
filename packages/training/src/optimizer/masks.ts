import type { TrainingRecipe } from '@roentgen/domain';
import type { EfficientNetSpec } from '@roentgen/efficientnet';
import { ops, viewEntry } from '@roentgen/tensorflow';
import { learningRateScales } from './layer-decay.js';
import type { Graph, LayoutEntry, StateLayout, Tensor, Variable } from '@roentgen/tensorflow';

type MaskRecipe = Pick<TrainingRecipe, 'optimizer' | 'freeze' | 'layerDecay'>;
type Parameters = EfficientNetSpec['parameters'];

/** Layer that maps features to classes: the head of a fine-tuning. */
const CLASSIFIER = 'predictions/';

/** 1 for kernels; 0 for gamma and beta of batch norm and for biases, which decay would only bias (He et al. 2019, §3.1), and for the padding. */
export function weightDecayMask(parameters: Parameters): Float32Array {
  return maskOf(parameters, ({ group }) => group === 'kernel');
}

/** 1 for the classifier's kernel and bias, 0 for the rest. */
export function headMask(parameters: Parameters): Float32Array {
  return maskOf(parameters, ({ name }) => name.startsWith(CLASSIFIER));
}

const MASKS = {
  'masks/weight_decay': ({ parameters }: EfficientNetSpec) => weightDecayMask(parameters),
  'masks/head': ({ parameters }: EfficientNetSpec) => headMask(parameters),
  'masks/learning_rate': (spec: EfficientNetSpec, { layerDecay }: MaskRecipe) => learningRateScales(spec, layerDecay ?? 1),
} as const;
type MaskName = keyof typeof MASKS;

/** Names of the variables for the masks that this recipe's graph holds in the session. */
export function maskNames({ optimizer, freeze, layerDecay }: MaskRecipe): MaskName[] {
  const names: MaskName[] = [];
  if (optimizer.kind === 'adamw' && optimizer.weightDecay > 0) names.push('masks/weight_decay');
  if (freeze.until === 'head' && freeze.epochs > 0) names.push('masks/head');
  if (layerDecay !== null && layerDecay < 1) names.push('masks/learning_rate');
  return names;
}

export function masksOf(recipe: MaskRecipe, spec: EfficientNetSpec): Record<string, Float32Array> {
  return Object.fromEntries(maskNames(recipe).map((name) => [name, MASKS[name](spec, recipe)]));
}

/** What learns in a step, 0 or 1 each: all where `bodyLearns` is fed 1, only the head where it is 0; null in a graph without such a phase. */
export function addTrainableMask(
  graph: Graph,
  masks: Readonly<Record<string, Variable>>,
): { trainable: Tensor | null; feeds: Readonly<Record<string, Tensor<'float32'>>> } {
  const head = masks['masks/head'];
  if (!head) return { trainable: null, feeds: {} };
  const bodyLearns = graph.placeholder('apply/body_learns', 'float32', []);
  return { trainable: ops.maximum(graph, ops.read(graph, head), bodyLearns), feeds: { bodyLearns } };
}

function maskOf<G extends string>(layout: StateLayout<G>, isIn: (entry: LayoutEntry<G>) => boolean): Float32Array {
  const mask = new Float32Array(layout.length);
  for (const entry of layout.entries) if (isIn(entry)) viewEntry(mask, entry).fill(1);
  return mask;
}
