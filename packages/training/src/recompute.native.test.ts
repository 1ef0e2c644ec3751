import { parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, expect, test } from 'vitest';
import { assembleMicroBatch } from './micro-batch.js';
import { noiseSamples } from './noise-samples.js';
import { TrainingPlan } from './plan.js';
import type { StepGradients } from './step-gradients.js';
import { peakOf } from './testing/peak-of.js';
import { TrainingSession } from './training-session.js';

const RECIPE = { imageSizePx: 64, globalBatchSize: 8, microBatchSize: 8, seed: 6 };
const samples = noiseSamples(8, RECIPE.imageSizePx, 2);

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

function gradientsOf(input: Record<string, unknown>): StepGradients {
  const recipe = parseTrainingRecipe({ ...RECIPE, ...input });
  const session = TrainingSession.create({ binding, recipe, numClasses: 2 });
  session.setState(session.initialState(recipe.seed));
  const plan = new TrainingPlan(recipe, samples.length);
  const batch = assembleMicroBatch(plan.microBatches(0)[0]!, recipe.imageSizePx, (index) => samples[index]!);
  const gradients = session.gradients(batch, plan.dropoutSeed(0, 0));
  session.close();
  return gradients;
}

const sameBits = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

test.each(['B0', 'Lite0'])(
  '%s: recomputed activations give every bit of gradient and moments, drop-connect and dropout included',
  (variant) => {
    const kept = gradientsOf({ variant });
    const recomputed = gradientsOf({ variant, recompute: true });
    expect({ ...recomputed, gradientSum: null, momentSum: null }).toEqual({ ...kept, gradientSum: null, momentSum: null });
    expect(sameBits(recomputed.gradientSum, kept.gradientSum)).toBe(true);
    expect(sameBits(recomputed.momentSum, kept.momentSum)).toBe(true);
    // Else the comparison of the random layers would be one of nothing.
    expect(sameBits(gradientsOf({ variant, dropConnectRate: 0, dropoutRate: 0 }).gradientSum, kept.gradientSum)).toBe(false);
  },
);

test('with frozen statistics, where TensorFlow fuses the first pass in another way, they are equal to 1e-6', () => {
  const { gradientSum: kept } = gradientsOf({ batchNorm: 'frozen' });
  const { gradientSum: recomputed } = gradientsOf({ batchNorm: 'frozen', recompute: true });
  const norm = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  expect(norm(recomputed.map((value, index) => value - kept[index]!)) / norm(kept)).toBeLessThan(1e-6);
});

test('parts of a network that are recomputed need less memory, because they wait for the gradient', async () => {
  const kept = await peakOf({ kind: 'kept-parts' });
  const recomputed = await peakOf({ kind: 'recomputed-parts' });
  const merged = await peakOf({ kind: 'merged-parts' });
  expect(recomputed.addedBytes).toBeLessThan(0.5 * kept.addedBytes);
  // The same graph without the waiting: TensorFlow takes both computations for one.
  expect(merged.addedBytes).toBeGreaterThan(0.8 * kept.addedBytes);
});

test('a network needs less memory when it is recomputed', async () => {
  const recipe = { ...RECIPE, imageSizePx: 128, globalBatchSize: 16, microBatchSize: 16 };
  const kept = await peakOf({ kind: 'network', recipe });
  const recomputed = await peakOf({ kind: 'network', recipe: { ...recipe, recompute: true } });
  expect(recomputed.addedBytes).toBeLessThan(0.7 * kept.addedBytes);
});
