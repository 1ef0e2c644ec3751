import { createHash } from 'node:crypto';
import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
// Made by scripts/fixtures/make-pytorch-fixtures.py: what timm and torchvision say, in the order of the network.
import facts from '../fixtures/shapes.json' with { type: 'json' };
import { REFERENCE_CONVENTIONS } from './conventions.js';
import type { ModelConventions } from './conventions.js';
import { initializeModel } from './initialize.js';
import { efficientNetSpec } from './spec.js';

const { classes, variants } = facts;

test.each(EFFICIENTNET_VARIANT_NAMES)('%s has the tensors of timm and torchvision, shape by shape', (variant) => {
  const { parameters, statistics } = efficientNetSpec(variant, classes);
  const shapes = ({ entries }: StateLayout) => entries.map(({ shape }) => shape.join('x'));
  expect(shapes(parameters)).toEqual(variants[variant].parameters.split(' '));
  expect(shapes(statistics)).toEqual(variants[variant].statistics.split(' '));
  expect(parameters.entries.reduce((sum, { length }) => sum + length, 0)).toBe(variants[variant].count);
});

test('the shapes are those of both libraries, B0’s of the published size', () => {
  expect(variants.B0).toMatchObject({ count: 5_288_548, agreed: ['timm tf_', 'timm', 'torchvision'] });
});

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
