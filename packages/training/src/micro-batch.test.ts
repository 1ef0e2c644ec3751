import { expect, test } from 'vitest';
import { InvalidBatchError } from './errors.js';
import { assembleMicroBatch } from './micro-batch.js';
import type { TrainingSample } from './micro-batch.js';

const SIZE = 2;
/** Two by two pixels: left column `left`, right column `right`. */
const sample = (id: string, label: number, left: number, right: number, weight?: number): TrainingSample => ({
  id,
  label,
  ...(weight === undefined ? {} : { weight }),
  pixels: Uint8Array.from([left, left + 1, left + 2, right, right + 1, right + 2, left, left + 1, left + 2, right, right + 1, right + 2]),
});
const samples = [sample('a', 0, 10, 20), sample('b', 1, 30, 40, 0.5)];
const slot = (index: number, options: { padding?: boolean } = {}) => ({
  sample: index,
  padding: false,
  ...options,
});
const assemble = (slots: ReturnType<typeof slot>[], from = samples) =>
  assembleMicroBatch({ step: 0, index: 0, slots }, SIZE, (index) => from[index]!);

test('images, labels, weights and ids lie in the order of the plan', () => {
  const batch = assemble([slot(1), slot(0)]);
  expect([...batch.images]).toEqual([...samples[1]!.pixels, ...samples[0]!.pixels]);
  expect(batch).toMatchObject({ labels: Int32Array.of(1, 0), weights: Float32Array.of(0.5, 1), sampleIds: ['b', 'a'] });
});

test('arrays that are used again are overwritten, whatever they held', () => {
  const target = { images: new Uint8Array(24).fill(9), labels: Int32Array.of(9, 9), weights: Float32Array.of(9, 9) };
  const slots = [slot(0), slot(1, { padding: true })];
  const batch = assembleMicroBatch({ step: 0, index: 0, slots }, SIZE, (index) => samples[index]!, target);
  expect(batch).toEqual(assemble(slots));
  expect(batch.images).toBe(target.images);
});

test('padding has no weight and no id', () => {
  const batch = assemble([slot(1), slot(0, { padding: true })]);
  expect(batch).toMatchObject({ weights: Float32Array.of(0.5, 0), sampleIds: ['b'] });
});

test('an image of another size is refused by its id', () => {
  const odd = [{ ...samples[0]!, pixels: new Uint8Array(9) }];
  expect(() => assemble([slot(0)], odd)).toThrow(InvalidBatchError);
  expect(() => assemble([slot(0)], odd)).toThrow('sample "a" has 9 bytes; 2 × 2 RGB pixels are 12.');
});
