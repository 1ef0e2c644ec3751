import { expect, test } from 'vitest';
import { addStepGradients, isFinite } from './step-gradients.js';
import type { StepGradients } from './step-gradients.js';

const gradients = (change: Partial<StepGradients> = {}): StepGradients => ({
  gradientSum: Float32Array.of(1, 2),
  momentSum: Float32Array.of(3),
  momentCount: 1,
  lossSum: 4,
  weightSum: 5,
  correctSum: 6,
  sampleCount: 7,
  ...change,
});

test('everything is added', () => {
  const right = gradients({ gradientSum: Float32Array.of(10, 20), lossSum: 40, momentCount: 2 });
  expect(addStepGradients(gradients(), right)).toEqual({
    gradientSum: Float32Array.of(11, 22),
    momentSum: Float32Array.of(6),
    momentCount: 3,
    lossSum: 44,
    weightSum: 10,
    correctSum: 12,
    sampleCount: 14,
  });
});

test.each([
  ['a loss', { lossSum: Number.NaN }],
  ['a gradient', { gradientSum: Float32Array.of(1, Number.POSITIVE_INFINITY) }],
  ['a gradient whose square', { gradientSum: Float32Array.of(1e20) }],
  ['a moment', { momentSum: Float32Array.of(Number.NaN) }],
  ['a mean over no weight', { weightSum: 0, lossSum: 0 }],
])('%s that is no number is noticed', (_, change) => {
  expect(isFinite(gradients())).toBe(true);
  expect(isFinite(gradients(change))).toBe(false);
});
