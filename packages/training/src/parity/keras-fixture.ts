import { readFileSync } from 'node:fs';
import { viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry, StateLayout } from '@roentgen/tensorflow';
import { z } from 'zod';
import { decodeSafetensors } from '../safetensors.js';
import type { NamedTensor } from '../safetensors.js';

const FixtureSchema = z.object({
  batchNorm: z.enum(['batch', 'frozen']),
  imageSizePx: z.int(),
  batchSize: z.int(),
  labelSmoothing: z.number(),
  classes: z.int(),
  sample: z.int(),
  loss: z.number(),
  gradientNorms: z.record(z.string(), z.number()),
});

/** The cases that are stored: batch norm with the statistics of the batch, and with the running ones. */
export const KERAS_FIXTURES = ['keras-b0-batch', 'keras-b0-frozen'] as const;
export type KerasFixtureName = (typeof KERAS_FIXTURES)[number];

/** What scripts/fixtures/make-keras-fixture.py wrote for one case. */
export interface KerasFixture extends z.output<typeof FixtureSchema> {
  readonly tensors: ReadonlyMap<string, NamedTensor>;
}

export function readKerasFixture(name: KerasFixtureName): KerasFixture {
  const file = (extension: string) => readFileSync(new URL(`../../fixtures/${name}.${extension}`, import.meta.url));
  return { ...FixtureSchema.parse(JSON.parse(file('json').toString())), tensors: decodeSafetensors(file('safetensors')) };
}

/** Twin of `pseudo_random` in the script: FNV-1a of the name plus the index, through the finaliser "lowbias32" (Wellons 2018). */
export function pseudoRandom(name: string, count: number): Uint32Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619) >>> 0;
  return Uint32Array.from({ length: count }, (_, index) => {
    let x = (index + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return x ^ (x >>> 16);
  });
}

/** A flat vector with the values that the script gave to Keras. */
export function fixtureVector(layout: StateLayout): Float32Array {
  const vector = new Float32Array(layout.length);
  for (const entry of layout.entries) viewEntry(vector, entry).set(tensorValues(entry));
  return vector;
}

/** Twin of `tensor_values` in the script. */
function tensorValues({ name, shape, length }: LayoutEntry): Float64Array {
  const u = Float64Array.from(pseudoRandom(name, length), (value) => value / 2147483648 - 1);
  if (name.endsWith('/kernel')) {
    const fanIn = name.includes('dwconv') ? shape[0]! * shape[1]! : length / shape.at(-1)!;
    return u.map((value) => value * Math.sqrt(3 / fanIn));
  }
  if (name.endsWith('/gamma')) return u.map((value) => 1 + 0.1 * value);
  if (name.endsWith('/moving_variance')) return u.map((value) => 1.15 + 0.15 * value);
  return u.map((value) => 0.1 * value);
}
