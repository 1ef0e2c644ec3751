import { readFileSync } from 'node:fs';
import type { WeightsTarget } from '../mapping/read-efficientnet-weights.js';

const conv = (name: string, size: number, inputs: number, outputs: number) => [
  { name: `${name}/kernel`, shape: [size, size, inputs, outputs] },
];
const gains = (name: string, channels: number) => ['gamma', 'beta'].map((leaf) => ({ name: `${name}/${leaf}`, shape: [channels] }));
const dense = (name: string, shape: readonly number[]) => [
  { name: `${name}/kernel`, shape },
  { name: `${name}/bias`, shape: shape.slice(-1) },
];

/** Channels of each batch norm, in the order of the layers. */
const NORMS = {
  stem_bn: 4,
  block1a_bn: 4,
  block1a_project_bn: 2,
  block2a_expand_bn: 12,
  block2a_bn: 12,
  block2a_project_bn: 3,
  top_bn: 8,
} as const;
const norm = (name: keyof typeof NORMS) => gains(name, NORMS[name]);

/** The network in the files of scripts/fixtures/make-weights-fixtures.py: two blocks, the first without expansion. */
export function tinyNetwork(classes = 3): WeightsTarget {
  return {
    variant: 'B0',
    parameters: {
      entries: [
        ...conv('stem_conv', 3, 3, 4),
        ...norm('stem_bn'),
        ...conv('block1a_dwconv', 3, 4, 1),
        ...norm('block1a_bn'),
        ...dense('block1a_se_reduce', [1, 1, 4, 1]),
        ...dense('block1a_se_expand', [1, 1, 1, 4]),
        ...conv('block1a_project_conv', 1, 4, 2),
        ...norm('block1a_project_bn'),
        ...conv('block2a_expand_conv', 1, 2, 12),
        ...norm('block2a_expand_bn'),
        ...conv('block2a_dwconv', 5, 12, 1),
        ...norm('block2a_bn'),
        ...dense('block2a_se_reduce', [1, 1, 12, 2]),
        ...dense('block2a_se_expand', [1, 1, 2, 12]),
        ...conv('block2a_project_conv', 1, 12, 3),
        ...norm('block2a_project_bn'),
        ...conv('top_conv', 1, 3, 8),
        ...norm('top_bn'),
        ...dense('predictions', [8, classes]),
      ],
    },
    statistics: {
      entries: Object.entries(NORMS).flatMap(([name, channels]) =>
        ['moving_mean', 'moving_variance'].map((leaf) => ({ name: `${name}/${leaf}`, shape: [channels] })),
      ),
    },
  };
}

/** What all fixtures hold for one of our tensors, in our layout. */
export function expectedValues({ name, shape }: { readonly name: string; readonly shape: readonly number[] }): Float32Array {
  const start = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  return Float32Array.from({ length: count }, (_, i) => ((start + 7 * i) % 128) / 64 - 1);
}

export function fixture(name: string): Uint8Array {
  return readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
}
