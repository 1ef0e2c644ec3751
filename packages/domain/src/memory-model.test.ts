import { expect, test } from 'vitest';
import {
  imagesThatFit,
  memoryPerImageBytes,
  microBatchForAll,
  microBatchOn,
  tooLittleMemory,
  trainingMemoryBytes,
} from './memory-model.js';
import { largestMicroBatch } from './micro-batch-size.js';
import { parseRequestedRecipe, parseTrainingRecipe } from './recipe.js';

const GIB = 2 ** 30;
const worker = (gib: number | null, memoryScale = 1) => ({ memoryBudgetBytes: gib === null ? null : gib * GIB, memoryScale });
const b3 = parseRequestedRecipe({ variant: 'B3', globalBatchSize: 64 });

test.each([
  [64, 40, 32],
  [64, 64, 64],
  [64, 1000, 64],
  [48, 20, 16],
  [50, 30, 25],
  [7, 6, 1],
])('of a global batch of %d at most %d fit: micro-batches of %d', (globalBatchSize, most, expected) => {
  expect(largestMicroBatch(globalBatchSize, most)).toBe(expected);
});

test('what is chosen fits, and twice as much does not', () => {
  for (const gib of [3, 6, 12, 24]) {
    const size = microBatchOn(b3, worker(gib))!;
    expect(trainingMemoryBytes(b3, size)).toBeLessThanOrEqual(gib * GIB);
    if (size < 64) expect(trainingMemoryBytes(b3, 2 * size)).toBeGreaterThan(gib * GIB);
  }
});

test('with recompute more images fit, and where none does without it the error says so', () => {
  expect(imagesThatFit({ ...b3, recompute: true }, worker(8))).toBeGreaterThanOrEqual(2 * imagesThatFit(b3, worker(8)));
  const b7 = parseRequestedRecipe({ variant: 'B7', globalBatchSize: 8, batchNorm: 'batch' });
  expect(microBatchOn(b7, worker(9))).toBeNull();
  expect(tooLittleMemory(b7, [worker(9)], 100)).toContain('Use recompute, a smaller imageSizePx');
  const recomputed = { ...b7, recompute: true };
  expect(microBatchOn(recomputed, worker(9))).toBe(2);
  expect(tooLittleMemory(recomputed, [worker(4)], 100)).toContain('Use a smaller imageSizePx');
});

test('memory per image grows with the pixels, the variant, and what the worker measured', () => {
  const of = (variant: 'B0' | 'B3' | 'B7', imageSizePx: number, scale = 1) => memoryPerImageBytes({ variant, imageSizePx }, scale);
  expect(of('B3', 600)).toBe(4 * of('B3', 300));
  expect(of('B7', 300)).toBeGreaterThan(of('B3', 300));
  expect(imagesThatFit(b3, worker(8, 2))).toBe(Math.floor(imagesThatFit(b3, { ...worker(8), memoryBudgetBytes: 8 * GIB }) / 2));
});

test('all workers together get what fits into the weakest that can train at all', () => {
  expect(microBatchForAll(b3, [worker(40), worker(6)], 1000)).toBe(microBatchOn(b3, worker(6)));
  expect(microBatchForAll(b3, [worker(40), worker(1)], 1000)).toBe(64);
  expect(microBatchForAll(b3, [worker(1)], 1000)).toBeNull();
});

test('a worker that does not tell its memory gets the usual micro-batch', () => {
  expect(microBatchOn(b3, worker(null))).toBe(16);
});

test('with batch statistics a micro-batch is never larger than the train split, nor a single image', () => {
  expect(microBatchOn(b3, worker(80), 20)).toBe(16);
  expect(microBatchOn(parseRequestedRecipe({ globalBatchSize: 17 }), worker(null))).toBeNull();
  expect(microBatchOn(parseRequestedRecipe({ globalBatchSize: 17, batchNorm: 'frozen' }), worker(null))).toBe(1);
});

test('however much fits, a micro-batch stays within what a recipe may ask for', () => {
  const tiny = parseRequestedRecipe({ variant: 'Lite0', imageSizePx: 32, globalBatchSize: 16_384 });
  expect(microBatchOn(tiny, worker(72))).toBe(4_096);
});

test("a user's own micro-batch stays", () => {
  expect(microBatchOn(parseRequestedRecipe({ variant: 'B7', microBatchSize: 16 }), worker(1))).toBe(16);
});

test('too little memory is told with values, rule and fix', () => {
  const b7 = parseRequestedRecipe({ variant: 'B7' });
  expect(microBatchForAll(b7, [worker(4), worker(6)], 1000)).toBeNull();
  expect(tooLittleMemory(b7, [worker(4), worker(6)], 1000)).toMatch(
    /^B7 at 600 px needs 11\.2 GiB with micro-batches of 2, .* the largest worker may use 6\.0 GiB\. Use recompute, a smaller imageSizePx/,
  );
  const odd = parseRequestedRecipe({ globalBatchSize: 17 });
  expect(tooLittleMemory(odd, [worker(null)], 1000)).toMatch(/globalBatchSize 17 has no divisor from 2 to 16.*power of two/);
});

test('a recipe takes image size and dropout from its variant', () => {
  expect(parseTrainingRecipe({ variant: 'b3' })).toMatchObject({ imageSizePx: 300, dropoutRate: 0.3 });
  expect(parseTrainingRecipe({ variant: 'b7', imageSizePx: 224 })).toMatchObject({ imageSizePx: 224, dropoutRate: 0.5 });
  expect(parseRequestedRecipe({ globalBatchSize: 8 })).toMatchObject({ microBatchSize: null, imageSizePx: 224, dropoutRate: 0.2 });
  expect(parseTrainingRecipe({ globalBatchSize: 8 }).microBatchSize).toBe(8);
  expect(() => parseRequestedRecipe({ globalBatchSize: 1 })).toThrow(/globalBatchSize 1 is too small for batchNorm "batch"/);
});
