import { InvalidRecipeError, parseTrainingRecipe } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { TrainingPlan } from './plan.js';

const plan = (sampleCount: number, recipe: Record<string, unknown> = {}) =>
  new TrainingPlan(parseTrainingRecipe({ globalBatchSize: 8, microBatchSize: 4, epochs: 3, seed: 11, ...recipe }), sampleCount);

const samplesOf = (p: TrainingPlan, epoch: number) =>
  Array.from({ length: p.stepsPerEpoch }, (_, index) => p.microBatches((epoch - 1) * p.stepsPerEpoch + index))
    .flat()
    .flatMap(({ slots }) => slots.filter(({ padding }) => !padding).map(({ sample }) => sample));

test('an epoch uses every sample once, in an order of its own', () => {
  const p = plan(24);
  expect(p.stepsPerEpoch).toBe(3);
  expect(p.totalSteps).toBe(9);
  const [first, second] = [samplesOf(p, 1), samplesOf(p, 2)];
  expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, i) => i));
  expect(first).not.toEqual(second);
});

test('the order is a function of seed and epoch, whatever was asked before', () => {
  const asked = plan(24);
  asked.sampleOrder(3);
  asked.sampleOrder(1);
  expect(asked.sampleOrder(2)).toEqual(plan(24).sampleOrder(2));
  expect(plan(24, { seed: 12 }).sampleOrder(2)).not.toEqual(asked.sampleOrder(2));
});

test('with batch statistics an incomplete last micro-batch is left out and listed', () => {
  const p = plan(22);
  expect(p.stepsPerEpoch).toBe(3);
  expect(p.microBatches(2)).toHaveLength(1);
  expect(p.leftOut(1)).toHaveLength(2);
  expect([...samplesOf(p, 1), ...p.leftOut(1)].sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, i) => i));
});

test('with frozen statistics it is filled with padding instead', () => {
  const p = plan(22, { batchNorm: 'frozen' });
  expect(p.leftOut(1)).toEqual([]);
  expect(samplesOf(p, 1)).toHaveLength(22);
  const last = p.microBatches(2).at(-1)!;
  expect(last.slots.map(({ padding }) => padding)).toEqual([false, false, true, true]);
});

test('a train split smaller than one micro-batch is an error with the way out', () => {
  expect(() => plan(3)).toThrow(InvalidRecipeError);
  expect(() => plan(3)).toThrow('microBatchSize 4 is more than the 3 images of the train split');
});

test('the learning rate rises linearly, then falls as a cosine to zero', () => {
  const p = plan(80, { learningRate: 1, epochs: 2, schedule: { kind: 'cosine', warmupSteps: 4 } });
  expect([0, 1, 2, 3].map((step) => p.learningRate(step))).toEqual([0.25, 0.5, 0.75, 1]);
  expect(p.learningRate(4)).toBe(1);
  expect(p.learningRate(12)).toBeCloseTo(0.5, 12);
  expect(p.learningRate(p.totalSteps)).toBeCloseTo(0, 12);
  expect(plan(80, { learningRate: 0.5, schedule: { kind: 'constant' } }).learningRate(17)).toBe(0.5);
});

test('a schedule ends at its final fraction', () => {
  const scheduled = (schedule: object) => plan(80, { learningRate: 2, epochs: 2, schedule });
  const cosine = scheduled({ kind: 'cosine', finalFraction: 0.1 });
  expect([0, 10, 20].map((step) => cosine.learningRate(step))).toEqual([2, expect.closeTo(1.1, 12), expect.closeTo(0.2, 12)]);
  const exponential = scheduled({ kind: 'exponential', finalFraction: 0.01, warmupSteps: 4 });
  expect([1, 4, 12, 20].map((step) => exponential.learningRate(step))).toEqual([1, 2, expect.closeTo(0.2, 12), expect.closeTo(0.02, 12)]);
});

test('only the head learns in the frozen epochs', () => {
  const p = plan(24, { freeze: { until: 'head', epochs: 2 } });
  expect([0, 5, 6, 8].map((step) => p.phase(step))).toEqual([
    { firstStep: 0, headOnly: true },
    { firstStep: 0, headOnly: true },
    { firstStep: 6, headOnly: false },
    { firstStep: 6, headOnly: false },
  ]);
  expect(plan(24).phase(3)).toEqual({ firstStep: 0, headOnly: false });
});

test('dropout seeds differ by step and by micro-batch', () => {
  const p = plan(24);
  const seeds = [p.dropoutSeed(0, 0), p.dropoutSeed(0, 1), p.dropoutSeed(1, 0)].map(String);
  expect(new Set(seeds).size).toBe(3);
  expect(String(plan(24).dropoutSeed(1, 0))).toBe(seeds[2]);
});

test('checkpoints are due at every n-th epoch and at the end', () => {
  const p = plan(24, { checkpointEveryEpochs: 2 });
  expect([1, 3, 6, 9].map((committed) => p.checkpointsAfter(committed))).toEqual([false, false, true, true]);
});
