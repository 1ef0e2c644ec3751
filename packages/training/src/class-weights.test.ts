import { expect, test } from 'vitest';
import { classWeights } from './class-weights.js';

test('balanced weights are n / (k · nᵢ) and average to 1 over the samples', () => {
  const labels = [0, 0, 0, 0, 0, 0, 1, 1, 2];
  const weights = classWeights('balanced', labels, 3);
  expect([...weights]).toEqual([0.5, 1.5, 3]);
  expect(labels.reduce((sum, label) => sum + weights[label]!, 0)).toBe(labels.length);
});

test('a class that does not occur takes nothing from the others', () => {
  expect([...classWeights('balanced', [0, 0, 0, 2], 3)]).toEqual([Math.fround(2 / 3), 1, 2]);
});

test('without weighting every sample counts once', () => {
  expect([...classWeights('none', [0, 0, 1], 2)]).toEqual([1, 1]);
});
