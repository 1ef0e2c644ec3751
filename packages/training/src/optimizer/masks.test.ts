import { parseTrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { headMask, maskNames, weightDecayMask } from './masks.js';

const { parameters } = efficientNetSpec('B0', 3);
const marked = (mask: Float32Array) =>
  parameters.entries.filter((entry) => viewEntry(mask, entry).every((value) => value === 1)).map(({ name }) => name);
const elements = (names: readonly string[]) =>
  parameters.entries.filter(({ name }) => names.includes(name)).reduce((sum, { length }) => sum + length, 0);

test('weight decay takes all kernels and nothing else', () => {
  const mask = weightDecayMask(parameters);
  const kernels = parameters.entries.map(({ name }) => name).filter((name) => name.endsWith('/kernel'));
  expect(marked(mask)).toEqual(kernels);
  expect(mask.reduce((sum, value) => sum + value, 0)).toBe(elements(kernels));
});

test('the head is the classifier', () => {
  expect(marked(headMask(parameters))).toEqual(['predictions/kernel', 'predictions/bias']);
  expect(headMask(parameters).reduce((sum, value) => sum + value, 0)).toBe(1280 * 3 + 3);
});

test('a graph holds only the masks that its recipe needs', () => {
  const names = (input: object) => maskNames(parseTrainingRecipe(input));
  expect(names({})).toEqual([]);
  expect(names({ optimizer: { kind: 'adamw', weightDecay: 0 } })).toEqual([]);
  expect(names({ optimizer: { kind: 'adamw' }, freeze: { until: 'head', epochs: 1 } })).toEqual(['masks/weight_decay', 'masks/head']);
  expect(names({ layerDecay: 1 })).toEqual([]);
  expect(names({ layerDecay: 0.9 })).toEqual(['masks/learning_rate']);
});
