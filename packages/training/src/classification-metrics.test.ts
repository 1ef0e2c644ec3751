import { expect, test } from 'vitest';
import { binaryAuroc, classificationMetrics, crossEntropy } from './classification-metrics.js';

/** Logits whose softmax is the given probabilities. */
const logitsOf = (probabilities: readonly number[]) => Float32Array.from(probabilities, Math.log);
const samples = (classes: readonly string[], labels: readonly number[], probabilities: readonly number[]) => ({
  classes,
  labels,
  logits: logitsOf(probabilities),
  probabilities: Float32Array.from(probabilities),
});

test('five binary predictions, worked out by hand', () => {
  // truth 0 0 0 1 1; predicted 0 0 1 1 0
  const metrics = classificationMetrics(
    samples(['normal', 'pneumonia'], [0, 0, 0, 1, 1], [0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.6, 0.75, 0.25]),
  );
  expect(metrics).toMatchObject({ n: 5, accuracy: 0.6, majorityBaselineAccuracy: 0.6 });
  expect(metrics.confusionMatrix).toEqual([
    [2, 1],
    [1, 1],
  ]);
  expect(metrics.sensitivity).toEqual([
    { class: 'normal', n: 3, value: 2 / 3 },
    { class: 'pneumonia', n: 2, value: 0.5 },
  ]);
  // pairs (positive, negative) in the right order: 0.6 beats 0.1 and 0.2, not 0.7; 0.25 beats 0.1 and 0.2, not 0.7 → 4 of 6
  expect(metrics.auroc).toBeCloseTo(4 / 6, 12);
  const expectedLoss = -(Math.log(0.9) + Math.log(0.8) + Math.log(0.3) + Math.log(0.6) + Math.log(0.25)) / 5;
  expect(metrics.loss).toBeCloseTo(expectedLoss, 6);
});

test('ties count half', () => {
  expect(binaryAuroc([0.5, 0.5, 0.5, 0.5], [true, false, true, false])).toBe(0.5);
  expect(binaryAuroc([0.1, 0.4, 0.4, 0.8], [false, false, true, true])).toBe(3.5 / 4);
  expect(binaryAuroc([1, 2], [true, true])).toBeNull();
});

test('three classes: AUROC is the mean of each class against the rest', () => {
  const perfect = classificationMetrics(samples(['a', 'b', 'c'], [0, 1, 2], [0.8, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.8]));
  expect(perfect).toMatchObject({ accuracy: 1, auroc: 1, majorityBaselineAccuracy: 1 / 3 });
});

test('a class without samples has no sensitivity, and AUROC is not defined', () => {
  const metrics = classificationMetrics(samples(['a', 'b', 'c'], [0, 0, 1], [0.8, 0.1, 0.1, 0.6, 0.3, 0.1, 0.1, 0.8, 0.1]));
  expect(metrics.sensitivity[2]).toEqual({ class: 'c', n: 0, value: null });
  expect(metrics.auroc).toBeNull();
});

test('cross entropy does not overflow', () => {
  expect(crossEntropy(Float32Array.of(1000, 0), 0)).toBeCloseTo(0, 12);
  expect(crossEntropy(Float32Array.of(1000, 0), 1)).toBe(1000);
  expect(() => classificationMetrics(samples(['a', 'b'], [], []))).toThrow(RangeError);
});

test('a score that is not a number has no rank: AUROC is not defined', () => {
  expect(binaryAuroc([0.1, NaN, 0.4], [true, false, true])).toBeNull();
  expect(classificationMetrics(samples(['a', 'b'], [0, 1], [NaN, NaN, 0.5, 0.5])).auroc).toBeNull();
});

test('a sample whose prediction is not a number counts as wrong', () => {
  const metrics = classificationMetrics(samples(['a', 'b'], [0, 0, 1], [NaN, NaN, 0.9, 0.1, 0.2, 0.8]));
  expect(metrics).toMatchObject({ n: 3, accuracy: 2 / 3, majorityBaselineAccuracy: 2 / 3 });
  expect(metrics.sensitivity).toMatchObject([
    { n: 2, value: 0.5 },
    { n: 1, value: 1 },
  ]);
  expect(metrics.loss).toBeNaN();
});
