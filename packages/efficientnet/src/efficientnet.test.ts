import { createHash } from 'node:crypto';
import type { EfficientNetVariant } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { REFERENCE_CONVENTIONS } from './conventions.js';
import type { ModelConventions } from './conventions.js';
import { initializeModel } from './initialize.js';
import { efficientNetSpec } from './spec.js';

/** Trainable parameters with 1,000 classes, as torchvision and Keras count them, and timm those of Lite0. */
const PARAMETER_COUNTS: Readonly<Record<EfficientNetVariant, number>> = {
  B0: 5_288_548,
  B1: 7_794_184,
  B2: 9_109_994,
  B3: 12_233_232,
  B4: 19_341_616,
  B5: 30_389_784,
  B6: 43_040_704,
  B7: 66_347_960,
  Lite0: 4_652_008,
};

test.each(Object.entries(PARAMETER_COUNTS) as [EfficientNetVariant, number][])(
  '%s with 1,000 classes has %i parameters',
  (variant, count) => {
    const spec = efficientNetSpec(variant, 1000);
    expect(spec.parameters.entries.reduce((sum, { length }) => sum + length, 0)).toBe(count);
  },
);

test('B3 is wider and deeper than B0, its head and stem are scaled', () => {
  const spec = efficientNetSpec('B3', 3);
  expect(spec.blocks).toHaveLength(26);
  const shapes = new Map(spec.parameters.entries.map(({ name, shape }) => [name, shape]));
  expect(shapes.get('stem_conv/kernel')).toEqual([3, 3, 3, 40]);
  expect(shapes.get('top_conv/kernel')).toEqual([1, 1, 384, 1536]);
  expect(shapes.get('predictions/kernel')).toEqual([1536, 3]);
  expect(shapes.get('block2a_se_reduce/kernel')).toEqual([1, 1, 144, 6]);
  expect(spec.statistics.entries.every(({ offset }) => offset % 16 === 0)).toBe(true);
});

test('Lite0 is B0 without squeeze-and-excitation, under conventions of its own', () => {
  const [lite, b0] = [efficientNetSpec('Lite0', 3), efficientNetSpec('B0', 3)];
  const names = b0.parameters.entries.map(({ name }) => name).filter((name) => !name.includes('_se_'));
  expect(lite.parameters.entries.map(({ name }) => name)).toEqual(names);
  expect(lite.blocks.every(({ squeezeExcite }) => squeezeExcite === null)).toBe(true);
  expect(lite.conventions).toMatchObject({ activation: 'relu6', normalization: { scale: 1, mean: [127, 127, 127] } });
  expect(b0.conventions).toMatchObject({ activation: 'silu', padding: 'same' });
});

test('weights of another publisher bring their conventions with them', () => {
  const conventions: ModelConventions = { ...REFERENCE_CONVENTIONS, padding: 'symmetric', batchNormEpsilon: 1e-5 };
  expect(efficientNetSpec('B0', 2, conventions).conventions).toEqual(conventions);
});

test('one class is nothing to choose from', () => {
  expect(() => efficientNetSpec('B0', 1)).toThrow('1 classes: a classifier needs at least 2.');
});

test('the same seed gives the same starting weights, another seed gives others', () => {
  const spec = efficientNetSpec('B0', 2);
  const digest = (seed: number) => createHash('sha256').update(initializeModel(spec, seed).weights).digest('hex');
  expect(digest(1)).toBe(digest(1));
  expect(digest(1)).not.toBe(digest(2));
});

test('starting weights have the variance that the initialisation names, padding stays zero', () => {
  const spec = efficientNetSpec('B0', 2);
  const { weights, statistics } = initializeModel(spec, 5);
  const entry = spec.parameters.entries.find(({ name }) => name === 'top_conv/kernel')!;
  const values = viewEntry(weights, entry);
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  expect(variance * 1280).toBeCloseTo(2, 1);
  const used = spec.parameters.entries.reduce(
    (sum, { offset, length }) => sum + weights.subarray(offset, offset + length).reduce((a, b) => a + Math.abs(b), 0),
    0,
  );
  expect(weights.reduce((sum, value) => sum + Math.abs(value), 0)).toBeCloseTo(used, 3);
  expect(new Set(statistics)).toEqual(new Set([0, 1]));
});
