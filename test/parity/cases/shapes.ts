import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import type { EfficientNetVariant } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import type { StateLayout } from '@roentgen/tensorflow';
import { z } from 'zod';
import type { ParityCase } from '../context.js';
import { PEER_OF } from '../conventions.js';
import type { Library } from '../conventions.js';

/** Those of ImageNet, as the networks were published. */
const CLASSES = 1000;
const ShapesSchema = z.object({
  parameters: z.array(z.array(z.int())),
  statistics: z.array(z.array(z.int())),
  /** Trainable numbers, as the library counts them. */
  count: z.int(),
});

/** Every tensor of every variant, in the order of the network. */
export const shapeCases: readonly ParityCase[] = [
  ...EFFICIENTNET_VARIANT_NAMES.flatMap((variant) => librariesOf(variant).map((library) => shapeCase(library, variant))),
];

function librariesOf(variant: EfficientNetVariant): readonly Library[] {
  return variant === 'Lite0' ? ['timm-tf'] : ['keras', 'timm-tf', 'timm', 'torchvision'];
}

function shapeCase(library: Library, variant: EfficientNetVariant): ParityCase {
  return {
    name: `shapes/${library}/${variant}`,
    measure: async ({ peers }) => {
      const peer = await peers.get(PEER_OF[library]);
      const theirs = await peer.ask('shapes', { library, variant, classes: CLASSES }, ShapesSchema);
      const { parameters, statistics } = efficientNetSpec(variant, CLASSES);
      const count = parameters.entries.reduce((sum, { length }) => sum + length, 0);
      return [
        { what: `of ${theirs.count.toLocaleString('en')} parameters`, distance: Math.abs(count - theirs.count), bound: 0 },
        { what: `of ${parameters.entries.length} shapes`, distance: differing(parameters, theirs.parameters), bound: 0 },
        { what: `of ${statistics.entries.length} statistics`, distance: differing(statistics, theirs.statistics), bound: 0 },
      ];
    },
  };
}

/** How many tensors have another shape, or only one of the two has. */
function differing({ entries }: StateLayout, theirs: readonly (readonly number[])[]): number {
  const missing = Math.abs(entries.length - theirs.length);
  return missing + entries.filter(({ shape }, index) => theirs[index] && shape.join() !== theirs[index].join()).length;
}
