import { readFileSync } from 'node:fs';
import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry, StateLayout } from '@roentgen/tensorflow';
import { z } from 'zod';
import type { MicroBatch } from '../micro-batch.js';
import { ModelConventionsSchema } from '../preprocessing.js';
import { decodeSafetensors } from '../safetensors.js';
import type { NamedTensor } from '../safetensors.js';

const FixtureSchema = z.object({
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  /** Left out where they are those of the variant's authors. */
  conventions: ModelConventionsSchema.optional(),
  /** Mean of batch norm's gamma. */
  gain: z.number().default(1),
  batchNorm: z.enum(['batch', 'frozen']),
  imageSizePx: z.int(),
  batchSize: z.int(),
  labelSmoothing: z.number(),
  classes: z.int(),
  sample: z.int(),
  loss: z.number(),
  gradientNorms: z.record(z.string(), z.number()),
});

/** The cases that are stored: batch norm with the statistics of the batch or with the running ones, and the conventions that Keras lacks. */
export const REFERENCE_FIXTURES = [
  'keras-b0-batch',
  'keras-b0-frozen',
  'lite0-frozen',
  'b0-symmetric-batch',
  'b0-symmetric-frozen',
] as const;
export type ReferenceFixtureName = (typeof REFERENCE_FIXTURES)[number];

/** What a script in scripts/fixtures wrote for one case. */
export interface ReferenceFixture extends z.output<typeof FixtureSchema> {
  readonly tensors: ReadonlyMap<string, NamedTensor>;
}

export function readReferenceFixture(name: ReferenceFixtureName): ReferenceFixture {
  const file = (extension: string) => readFileSync(new URL(`../../fixtures/${name}.${extension}`, import.meta.url));
  return { ...FixtureSchema.parse(JSON.parse(file('json').toString())), tensors: decodeSafetensors(file('safetensors')) };
}

/**
 * Twin of `pseudo_random` in scripts/fixtures/fixture_format.py: FNV-1a of the name plus the index, through the finaliser "lowbias32"
 * (Wellons 2018).
 */
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

/** A flat vector with the values that the script gave to the reference. */
export function fixtureVector(layout: StateLayout, gain = 1): Float32Array {
  const vector = new Float32Array(layout.length);
  for (const entry of layout.entries) viewEntry(vector, entry).set(tensorValues(entry, gain));
  return vector;
}

/** Twin of `tensor_values` in scripts/fixtures/fixture_format.py. */
function tensorValues({ name, shape, length }: LayoutEntry, gain: number): Float64Array {
  const u = Float64Array.from(pseudoRandom(name, length), (value) => value / 2147483648 - 1);
  if (name.endsWith('/kernel')) {
    const fanIn = name.includes('dwconv') ? shape[0]! * shape[1]! : length / shape.at(-1)!;
    return u.map((value) => value * Math.sqrt(3 / fanIn));
  }
  if (name.endsWith('/gamma')) return u.map((value) => gain + 0.1 * value);
  if (name.endsWith('/moving_variance')) return u.map((value) => 1.15 + 0.15 * value);
  return u.map((value) => 0.1 * value);
}

/** Twin of `images_and_labels` in scripts/fixtures/fixture_format.py. */
export function fixtureBatch({
  imageSizePx,
  batchSize,
  classes,
}: Pick<ReferenceFixture, 'imageSizePx' | 'batchSize' | 'classes'>): MicroBatch {
  return {
    images: Uint8Array.from(pseudoRandom('images', batchSize * imageSizePx * imageSizePx * 3), (value) => value & 255),
    labels: Int32Array.from({ length: batchSize }, (_, index) => (index * 37) % classes),
    weights: Float32Array.from({ length: batchSize }, (_, index) => 1 + 0.5 * (index % 3)),
    sampleIds: [],
  };
}
