import type { WeightNaming } from './sources.js';

/** A place in the network: what the names of all libraries are made of. */
interface LayerPlace {
  /** Of our naming: `stem_conv`, `block2b_se_reduce`. */
  readonly layer: string;
  /** The layer's part in its block, or the whole name outside of one. */
  readonly part: string;
  readonly block: BlockPlace | null;
}

interface BlockPlace {
  /** Over all blocks, from 0. */
  readonly index: number;
  /** From 1. */
  readonly stage: number;
  /** Within the stage, from 0. */
  readonly repeat: number;
  /** Has a convolution to more channels before the depthwise one. */
  readonly expands: boolean;
  readonly hasSqueezeExcite: boolean;
}

const BLOCK_LAYER = /^(block(\d+)([a-z]))_(.+)$/;

/**
 * The name in the file of each of our tensors.
 *
 * @param names ours (`block1a_dwconv/kernel`), in the order of the layers
 */
export function sourceNames(naming: WeightNaming, names: readonly string[]): ReadonlyMap<string, string> {
  const places = layerPlaces(names.map((name) => name.slice(0, name.indexOf('/'))));
  return new Map(
    names.map((name) => {
      const [layer = '', leaf = ''] = name.split('/');
      const place = places.get(layer);
      if (!place) throw new RangeError(`"${name}" is no name of a layer and its tensor`);
      return [name, naming === 'keras' ? name : `${MODULE_PATHS[naming](place)}.${TORCH_LEAVES[leaf] ?? leaf}`];
    }),
  );
}

function layerPlaces(layers: readonly string[]): ReadonlyMap<string, LayerPlace> {
  const known = new Set(layers);
  const blocks = new Map<string, BlockPlace>();
  for (const layer of layers) {
    const [, block, stage, letter] = BLOCK_LAYER.exec(layer) ?? [];
    if (!block || !letter || blocks.has(block)) continue;
    blocks.set(block, {
      index: blocks.size,
      stage: Number(stage),
      repeat: letter.charCodeAt(0) - 'a'.charCodeAt(0),
      expands: known.has(`${block}_expand_conv`),
      hasSqueezeExcite: known.has(`${block}_se_reduce`),
    });
  }
  return new Map(
    layers.map((layer) => {
      const [, block = '', , , part = layer] = BLOCK_LAYER.exec(layer) ?? [];
      return [layer, { layer, part, block: blocks.get(block) ?? null }];
    }),
  );
}

const TORCH_LEAVES: Readonly<Record<string, string>> = {
  kernel: 'weight',
  bias: 'bias',
  gamma: 'weight',
  beta: 'bias',
  moving_mean: 'running_mean',
  moving_variance: 'running_var',
};

const MODULE_PATHS: Readonly<Record<Exclude<WeightNaming, 'keras'>, (place: LayerPlace) => string>> = {
  torchvision: ({ part, block }) => {
    if (!block) return lookUp(TORCHVISION_OUTER, part);
    const [role, inner] = lookUp(TORCHVISION_PARTS, part);
    const order = ['expand', 'depthwise', 'squeeze-excite', 'project'].filter(
      (other) => (other !== 'expand' || block.expands) && (other !== 'squeeze-excite' || block.hasSqueezeExcite),
    );
    return `features.${block.stage}.${block.repeat}.block.${order.indexOf(role)}.${inner}`;
  },
  timm: ({ part, block }) => {
    if (!block) return lookUp(TIMM_OUTER, part);
    return `blocks.${block.stage - 1}.${block.repeat}.${lookUp(block.expands ? TIMM_PARTS : TIMM_PARTS_WITHOUT_EXPANSION, part)}`;
  },
  'efficientnet-pytorch': ({ part, block }) =>
    block ? `_blocks.${block.index}.${lookUp(EFFICIENTNET_PYTORCH_PARTS, part)}` : lookUp(EFFICIENTNET_PYTORCH_OUTER, part),
};

function lookUp<T>(table: Readonly<Record<string, T>>, part: string): T {
  const found = table[part];
  if (found === undefined) throw new RangeError(`"${part}" is no part of an EfficientNet`);
  return found;
}

const TORCHVISION_OUTER: Readonly<Record<string, string>> = {
  stem_conv: 'features.0.0',
  stem_bn: 'features.0.1',
  top_conv: 'features.8.0',
  top_bn: 'features.8.1',
  predictions: 'classifier.1',
};
const TORCHVISION_PARTS: Readonly<Record<string, readonly [role: string, inner: string]>> = {
  expand_conv: ['expand', '0'],
  expand_bn: ['expand', '1'],
  dwconv: ['depthwise', '0'],
  bn: ['depthwise', '1'],
  se_reduce: ['squeeze-excite', 'fc1'],
  se_expand: ['squeeze-excite', 'fc2'],
  project_conv: ['project', '0'],
  project_bn: ['project', '1'],
};

const TIMM_OUTER: Readonly<Record<string, string>> = {
  stem_conv: 'conv_stem',
  stem_bn: 'bn1',
  top_conv: 'conv_head',
  top_bn: 'bn2',
  predictions: 'classifier',
};
const TIMM_PARTS: Readonly<Record<string, string>> = {
  expand_conv: 'conv_pw',
  expand_bn: 'bn1',
  dwconv: 'conv_dw',
  bn: 'bn2',
  se_reduce: 'se.conv_reduce',
  se_expand: 'se.conv_expand',
  project_conv: 'conv_pwl',
  project_bn: 'bn3',
};
/** timm's "depthwise separable" block counts from its first convolution. */
const TIMM_PARTS_WITHOUT_EXPANSION: Readonly<Record<string, string>> = {
  ...TIMM_PARTS,
  bn: 'bn1',
  project_conv: 'conv_pw',
  project_bn: 'bn2',
};

const EFFICIENTNET_PYTORCH_OUTER: Readonly<Record<string, string>> = {
  stem_conv: '_conv_stem',
  stem_bn: '_bn0',
  top_conv: '_conv_head',
  top_bn: '_bn1',
  predictions: '_fc',
};
const EFFICIENTNET_PYTORCH_PARTS: Readonly<Record<string, string>> = {
  expand_conv: '_expand_conv',
  expand_bn: '_bn0',
  dwconv: '_depthwise_conv',
  bn: '_bn1',
  se_reduce: '_se_reduce',
  se_expand: '_se_expand',
  project_conv: '_project_conv',
  project_bn: '_bn2',
};
