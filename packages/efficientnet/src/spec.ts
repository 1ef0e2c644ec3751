import type { EfficientNetVariant } from '@roentgen/domain';
import { createLayout } from '@roentgen/tensorflow';
import type { ConvolutionRef, DenseRef, NormRef, StateLayout } from '@roentgen/tensorflow';
import type { ModelConventions } from './conventions.js';
import { InvalidClassCountError } from './errors.js';
import { EFFICIENTNET_VARIANTS } from './variants.js';
import type { VariantFacts } from './variants.js';

/** Weight decay is for kernels only; gains, offsets and biases are left out of it. */
export type ParameterGroup = 'kernel' | 'norm' | 'bias';
export type StatisticGroup = 'mean' | 'variance';

/** The two layers that say how much of each channel to let through. */
export interface SqueezeExciteSpec {
  readonly squeeze: DenseRef;
  readonly excite: DenseRef;
}

/** One mobile inverted bottleneck. */
export interface BlockSpec {
  readonly name: string;
  readonly inputFilters: number;
  readonly outputFilters: number;
  /** 1 × 1 convolution to more channels; null where the block has none. */
  readonly expand: { readonly conv: ConvolutionRef; readonly norm: NormRef } | null;
  readonly depthwise: ConvolutionRef;
  readonly depthwiseNorm: NormRef;
  /** Null in the Lite variants. */
  readonly squeezeExcite: SqueezeExciteSpec | null;
  readonly project: ConvolutionRef;
  readonly projectNorm: NormRef;
  /** Input and output have the same shape, so the input is added to the output. */
  readonly hasSkip: boolean;
}

/** A network of the family as data: what the forward pass walks over, and how its tensors lie in the flat vectors. */
export interface EfficientNetSpec {
  readonly variant: EfficientNetVariant;
  readonly numClasses: number;
  readonly conventions: ModelConventions;
  readonly stem: ConvolutionRef;
  readonly stemNorm: NormRef;
  readonly blocks: readonly BlockSpec[];
  readonly top: ConvolutionRef;
  readonly topNorm: NormRef;
  readonly classifier: DenseRef;
  /** Trainable tensors. Names and shapes are those of Keras' EfficientNet. */
  readonly parameters: StateLayout<ParameterGroup>;
  /** Running statistics of batch norm. */
  readonly statistics: StateLayout<StatisticGroup>;
}

interface Stage {
  readonly expandRatio: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly filters: number;
  readonly repeats: number;
}

/** The baseline B0 (Tan & Le 2019, table 1). */
const STAGES: readonly Stage[] = [
  { expandRatio: 1, kernelSize: 3, stride: 1, filters: 16, repeats: 1 },
  { expandRatio: 6, kernelSize: 3, stride: 2, filters: 24, repeats: 2 },
  { expandRatio: 6, kernelSize: 5, stride: 2, filters: 40, repeats: 2 },
  { expandRatio: 6, kernelSize: 3, stride: 2, filters: 80, repeats: 3 },
  { expandRatio: 6, kernelSize: 5, stride: 1, filters: 112, repeats: 3 },
  { expandRatio: 6, kernelSize: 5, stride: 2, filters: 192, repeats: 4 },
  { expandRatio: 6, kernelSize: 3, stride: 1, filters: 320, repeats: 1 },
];
const STEM_FILTERS = 32;
const TOP_FILTERS = 1280;
const SQUEEZE_RATIO = 0.25;

/**
 * @param numClasses ≥ 2
 * @param conventions those of the weights; by default of the authors' own
 * @throws InvalidClassCountError
 */
export function efficientNetSpec(
  variant: EfficientNetVariant,
  numClasses: number,
  conventions: ModelConventions = EFFICIENTNET_VARIANTS[variant].conventions,
): EfficientNetSpec {
  if (!Number.isInteger(numClasses) || numClasses < 2) {
    throw new InvalidClassCountError(`${numClasses} classes: a classifier needs at least 2.`, { numClasses });
  }
  const facts = EFFICIENTNET_VARIANTS[variant];
  const tensors = new TensorList();
  const stemFilters = facts.scalesEnds ? scaleFilters(STEM_FILTERS, facts) : STEM_FILTERS;
  const stem = tensors.conv('stem_conv', 3, 3, stemFilters, 2);
  const stemNorm = tensors.norm('stem_bn', stemFilters);
  const blocks: BlockSpec[] = [];
  let filters = stemFilters;
  STAGES.forEach((stage, stageIndex) => {
    const outputFilters = scaleFilters(stage.filters, facts);
    const isEnd = stageIndex === 0 || stageIndex === STAGES.length - 1;
    const repeats = isEnd && !facts.scalesEnds ? stage.repeats : Math.ceil(facts.depth * stage.repeats);
    for (let repeat = 0; repeat < repeats; repeat++) {
      const name = `block${stageIndex + 1}${String.fromCharCode('a'.charCodeAt(0) + repeat)}`;
      const shape = { ...stage, stride: repeat === 0 ? stage.stride : 1, inputFilters: filters, outputFilters };
      blocks.push(blockSpec(tensors, name, shape, facts));
      filters = outputFilters;
    }
  });
  const topFilters = facts.scalesEnds ? scaleFilters(TOP_FILTERS, facts) : TOP_FILTERS;
  const top = tensors.conv('top_conv', 1, filters, topFilters, 1);
  const topNorm = tensors.norm('top_bn', topFilters);
  const classifier = tensors.dense('predictions', [topFilters, numClasses]);
  return {
    variant,
    numClasses,
    conventions,
    stem,
    stemNorm,
    blocks,
    top,
    topNorm,
    classifier,
    parameters: createLayout(tensors.parameters),
    statistics: createLayout(tensors.statistics),
  };
}

type BlockShape = Pick<Stage, 'expandRatio' | 'kernelSize' | 'stride'> & Pick<BlockSpec, 'inputFilters' | 'outputFilters'>;

function blockSpec(tensors: TensorList, name: string, shape: BlockShape, { hasSqueezeExcite }: VariantFacts): BlockSpec {
  const { expandRatio, kernelSize, stride, inputFilters, outputFilters } = shape;
  const expanded = inputFilters * expandRatio;
  const squeezed = Math.max(1, Math.floor(inputFilters * SQUEEZE_RATIO));
  // Written in the order of the layers: it is the order of the tensors in the flat vectors.
  return {
    name,
    inputFilters,
    outputFilters,
    expand:
      expandRatio > 1
        ? { conv: tensors.conv(`${name}_expand_conv`, 1, inputFilters, expanded, 1), norm: tensors.norm(`${name}_expand_bn`, expanded) }
        : null,
    depthwise: tensors.depthwise(`${name}_dwconv`, kernelSize, expanded, stride),
    depthwiseNorm: tensors.norm(`${name}_bn`, expanded),
    squeezeExcite: hasSqueezeExcite
      ? {
          squeeze: tensors.dense(`${name}_se_reduce`, [1, 1, expanded, squeezed]),
          excite: tensors.dense(`${name}_se_expand`, [1, 1, squeezed, expanded]),
        }
      : null,
    project: tensors.conv(`${name}_project_conv`, 1, expanded, outputFilters, 1),
    projectNorm: tensors.norm(`${name}_project_bn`, outputFilters),
    hasSkip: stride === 1 && inputFilters === outputFilters,
  };
}

/** Channels after width scaling: a multiple of 8 that is not more than 10 % below the exact number. */
function scaleFilters(filters: number, { width }: VariantFacts): number {
  const exact = filters * width;
  const rounded = Math.max(8, Math.floor((exact + 4) / 8) * 8);
  return rounded < 0.9 * exact ? rounded + 8 : rounded;
}

/** Collects a network's tensors in the order of its layers. */
class TensorList {
  readonly parameters: { name: string; shape: readonly number[]; group: ParameterGroup }[] = [];
  readonly statistics: { name: string; shape: readonly number[]; group: StatisticGroup }[] = [];

  conv(name: string, size: number, inputs: number, outputs: number, stride: number): ConvolutionRef {
    this.parameters.push({ name: `${name}/kernel`, shape: [size, size, inputs, outputs], group: 'kernel' });
    return { name, stride };
  }

  depthwise(name: string, size: number, channels: number, stride: number): ConvolutionRef {
    return this.conv(name, size, channels, 1, stride);
  }

  norm(name: string, channels: number): NormRef {
    this.parameters.push(
      { name: `${name}/gamma`, shape: [channels], group: 'norm' },
      { name: `${name}/beta`, shape: [channels], group: 'norm' },
    );
    this.statistics.push({ name: `${name}/moving_mean`, shape: [channels], group: 'mean' });
    this.statistics.push({ name: `${name}/moving_variance`, shape: [channels], group: 'variance' });
    return { name };
  }

  dense(name: string, kernelShape: readonly number[]): DenseRef {
    this.parameters.push(
      { name: `${name}/kernel`, shape: kernelShape, group: 'kernel' },
      { name: `${name}/bias`, shape: kernelShape.slice(-1), group: 'bias' },
    );
    return { name };
  }
}
