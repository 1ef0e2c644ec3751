import type { NamedTensor, NamedTensors } from '../named-tensor.js';

/** Path of a variable in a `.weights.h5` file: `<layer>/vars/0`, or `layers/conv2d_3/vars/0` where the layer's name was not stored. */
const VARIABLE = /(?:^|\/)(layers\/)?([^/]+)\/vars\/(\d+)$/;
const BUILD_ORDER_CLASS = /^(conv2d|depthwise_conv2d|batch_normalization|dense)(?:_(\d+))?$/;

const NORM_LEAVES = ['gamma', 'beta', 'moving_mean', 'moving_variance'];
const KERNEL_LEAVES = ['kernel', 'bias'];
const KERAS_2_DEPTHWISE = 'depthwise_kernel';

/**
 * Renames the tensors of a Keras file to `<layer>/<variable>`, which is our naming.
 *
 * `.h5` files have the layer and the variable in their paths (`top_bn/top_bn/gamma:0`). `.weights.h5` files number the variables of a layer in the order
 * of their creation; older ones also name the layers by class and order of creation.
 *
 * @param layers ours, in the order of creation
 * @returns by new name; tensors that belong to none of the layers keep theirs
 */
export function renameKerasTensors(tensors: NamedTensors, layers: readonly string[]): Map<string, NamedTensor> {
  const byClass = layersByClass(layers);
  return new Map([...tensors.values()].map((tensor) => [renamed(tensor.name, byClass), tensor]));
}

function renamed(path: string, byClass: ReadonlyMap<string, readonly string[]>): string {
  const [, inLayers, group = '', index = ''] = VARIABLE.exec(path) ?? [];
  if (!group) {
    const [layer, leaf] = path.replace(/:\d+$/, '').split('/').slice(-2);
    return leaf ? `${layer}/${leaf === KERAS_2_DEPTHWISE ? 'kernel' : leaf}` : path;
  }
  const layer = inLayers ? layerOfBuildOrder(group, byClass) : group;
  const leaf = layer && (layer.endsWith('bn') ? NORM_LEAVES : KERNEL_LEAVES)[Number(index)];
  return leaf ? `${layer}/${leaf}` : path;
}

function layerOfBuildOrder(group: string, byClass: ReadonlyMap<string, readonly string[]>): string | undefined {
  const [, className = '', number = '0'] = BUILD_ORDER_CLASS.exec(group) ?? [];
  return byClass.get(className)?.[Number(number)];
}

/** Keras counts the layers of a class from 0, the first without a number. */
function layersByClass(layers: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const byClass = new Map<string, string[]>();
  for (const layer of layers) {
    const className = kerasClass(layer);
    byClass.set(className, [...(byClass.get(className) ?? []), layer]);
  }
  return byClass;
}

function kerasClass(layer: string): string {
  if (layer.endsWith('bn')) return 'batch_normalization';
  if (layer.endsWith('dwconv')) return 'depthwise_conv2d';
  return layer === 'predictions' ? 'dense' : 'conv2d';
}
