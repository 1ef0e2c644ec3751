import type { EfficientNetVariant } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { encodeSafetensors, viewEntry, type NamedTensor } from '@roentgen/tensorflow';

/** A file as Keras' names and layouts have it: seeded weights of a whole network, in safetensors. */
export function kerasWeightsFile(
  variant: EfficientNetVariant,
  { classes = 5, seed = 1, change = (tensor: NamedTensor) => tensor } = {},
): Uint8Array {
  const spec = efficientNetSpec(variant, classes);
  const { weights, statistics } = initializeModel(spec, seed);
  const named = (layout: typeof spec.parameters | typeof spec.statistics, vector: Float32Array) =>
    layout.entries.map((entry) => ({ name: entry.name, shape: entry.shape, data: viewEntry(vector, entry) }));
  return encodeSafetensors([...named(spec.parameters, weights), ...named(spec.statistics, statistics)].map(change), {});
}
