import { parseTrainingRecipe } from '@roentgen/domain';
import { EagerInterpreter, FeedError, Session, SessionError, loadBinding } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InvalidBatchError } from './errors.js';
import { assembleMicroBatch } from './micro-batch.js';
import type { MicroBatch } from './micro-batch.js';
import { noiseSamples } from './noise-samples.js';
import { stateVectors } from './optimizer/training-state.js';
import type { TrainingState } from './optimizer/training-state.js';
import { TrainingPlan } from './plan.js';
import { PredictionSession } from './prediction-session.js';
import { buildTrainingGraph } from './training-graph.js';
import { addStepSums } from './step-gradients.js';
import type { StepGradients } from './step-gradients.js';
import { TrainingSession } from './training-session.js';
import type { SeededBatch } from './training-session.js';
import { TreeSum } from './tree-sum.js';

const recipe = parseTrainingRecipe({ imageSizePx: 32, globalBatchSize: 8, microBatchSize: 4, epochs: 20, learningRate: 1e-3, seed: 3 });
const samples = noiseSamples(8, recipe.imageSizePx, 2);
const plan = new TrainingPlan(recipe, samples.length);
const update = (step: number) => ({ step, learningRate: plan.learningRate(step), statisticsMomentum: plan.statisticsMomentum(step) });
const microBatch = (step: number, index = 0): MicroBatch =>
  assembleMicroBatch(plan.microBatches(step)[index]!, recipe.imageSizePx, (sample) => samples[sample]!);

let binding: TensorFlowBinding;
let session: TrainingSession;
let start: TrainingState;

beforeAll(() => {
  binding = loadBinding();
  session = TrainingSession.create({ binding, recipe, numClasses: 2 });
  start = session.initialState(recipe.seed);
});
afterAll(() => session.close());

/**
 * Shared memory starts at a multiple of 16 bytes; TensorFlow adopts a fed array without copying when it lies at a multiple of 64. One of
 * these offsets hits it.
 */
const OFFSETS_FLOATS = [0, 4, 8, 12];

function sharedCopy(values: Float32Array, offsetFloats: number): Float32Array {
  const shared = new Float32Array(new SharedArrayBuffer(values.byteLength + 64), offsetFloats * 4, values.length);
  shared.set(values);
  return shared;
}

test('state that was set comes back bit by bit', () => {
  session.setState(start);
  const state = stateVectors(session.getState());
  expect(Object.keys(state)).toEqual(['weights', 'optimizer/m', 'optimizer/v', 'statistics']);
  for (const [name, vector] of Object.entries(stateVectors(start))) {
    expect(Buffer.from(state[name]!.buffer).equals(Buffer.from(vector.buffer)), name).toBe(true);
  }
});

test.each(OFFSETS_FLOATS)('the memory that a state was set from can be overwritten (offset %i)', (offset) => {
  session.setState(start);
  const digest = session.digest();
  const shared = {
    weights: sharedCopy(start.weights, offset),
    slots: { m: sharedCopy(start.slots['m']!, offset), v: sharedCopy(start.slots['v']!, offset) },
    ema: null,
    lossScaling: null,
    statistics: sharedCopy(start.statistics, offset),
  };
  session.setState(shared);
  for (const vector of Object.values(stateVectors(shared))) vector.fill(7);
  expect(session.digest()).toBe(digest);
});

test.each(OFFSETS_FLOATS)('the memory that a gradient was applied from can be overwritten (offset %i)', (offset) => {
  session.setState(start);
  const gradients = session.gradients(microBatch(0), plan.dropoutSeed(0, 0));
  const shared = {
    ...gradients,
    gradientSum: sharedCopy(gradients.gradientSum, offset),
    momentSum: sharedCopy(gradients.momentSum, offset),
  };
  session.apply(shared, update(0));
  const digest = session.digest();
  shared.gradientSum.fill(7);
  shared.momentSum.fill(7);
  expect(session.digest()).toBe(digest);
});

test('computing gradients and predicting change no state', () => {
  session.setState(start);
  const digest = session.digest();
  session.gradients(microBatch(0), plan.dropoutSeed(0, 0));
  session.predict(microBatch(0).images, 4);
  expect(session.digest()).toBe(digest);
});

test('every endpoint can be warmed before there is a state', () => {
  const cold = TrainingSession.create({ binding, recipe, numClasses: 2 });
  cold.warm();
  cold.setState(start);
  session.setState(start);
  expect(cold.digest()).toBe(session.digest());
  cold.close();
});

test('training starts from a model with an empty optimiser, whatever was there before', () => {
  session.setState(start);
  const digest = session.digest();
  session.apply(session.gradients(microBatch(0), plan.dropoutSeed(0, 0)), update(0));
  expect(session.digest()).not.toBe(digest);
  session.start(start);
  expect(session.digest()).toBe(digest);
});

test('micro-batches are summed where they are computed, with the bits of the same tree of additions outside', () => {
  const many = TrainingSession.create({ binding, recipe: { ...recipe, globalBatchSize: 14, microBatchSize: 2 }, numClasses: 2 });
  many.setState(start);
  const { images, labels } = microBatch(0);
  const bytes = images.length / 4;
  const part = (index: number): SeededBatch => ({
    batch: {
      images: images.slice((index % 3) * bytes, (2 + (index % 3)) * bytes),
      labels: labels.slice(0, 2),
      weights: Float32Array.of(1, 1 + index / 7),
      sampleIds: [],
    },
    dropoutSeed: Int32Array.of(3, index),
  });
  for (const leaves of [1, 2, 3, 5, 7]) {
    const parts = Array.from({ length: leaves }, (_, index) => part(index));
    const outside = new TreeSum<StepGradients>(addOutside);
    for (const { batch, dropoutSeed } of parts) outside.push(many.gradients(batch, dropoutSeed));
    const sums = many.sumGradients(parts);
    const { gradientSum, momentSum, ...numbers } = outside.finish();
    expect(sums).toEqual(numbers);
    const inside = many.readSum();
    expect(Buffer.from(inside.gradientSum.buffer).equals(Buffer.from(gradientSum.buffer)), `${leaves} gradients`).toBe(true);
    expect(Buffer.from(inside.momentSum.buffer).equals(Buffer.from(momentSum.buffer)), `${leaves} moments`).toBe(true);
  }
  for (const count of [0, 8]) expect(() => many.sumGradients(Array.from({ length: count }, () => part(0)))).toThrow(InvalidBatchError);
  many.close();
});

function addOutside(left: StepGradients, right: StepGradients): StepGradients {
  return {
    ...addStepSums(left, right),
    gradientSum: left.gradientSum.map((value, index) => value + right.gradientSum[index]!),
    momentSum: left.momentSum.map((value, index) => value + right.momentSum[index]!),
  };
}

test.each<[string, (good: StepGradients) => Partial<StepGradients>]>([
  ['a loss', () => ({ lossSum: Number.NaN })],
  ['a gradient', ({ gradientSum }) => ({ gradientSum: gradientSum.fill(Infinity, 5, 6) })],
  ['a gradient whose square', ({ gradientSum }) => ({ gradientSum: gradientSum.fill(1e20, 5, 6) })],
  ['a moment', ({ momentSum }) => ({ momentSum: momentSum.fill(Number.NaN, 5, 6) })],
  ['a mean over no weight', () => ({ weightSum: 0, lossSum: 0 })],
])('%s that is no number is noticed', (_, change) => {
  session.setState(start);
  const good = session.gradients(microBatch(0), plan.dropoutSeed(0, 0));
  expect(session.isSumFinite(good)).toBe(true);
  const bad = { ...good, ...change(good) };
  session.setSum(bad);
  expect(session.isSumFinite(bad)).toBe(false);
});

test('statistics move by the momentum, and the norm is that of the averaged gradient', () => {
  session.setState(start);
  const gradients = session.gradients(microBatch(0), plan.dropoutSeed(0, 0));
  const { gradientNorm } = session.apply({ ...gradients, momentCount: 2 }, { step: 6, learningRate: 0.01, statisticsMomentum: 0.9 });
  const statistics = start.statistics.map((value, i) => 0.9 * value + (0.1 * gradients.momentSum[i]!) / 2);
  expect(relativeDistance(statistics, session.getState().statistics)).toBeLessThan(1e-5);
  const squares = gradients.gradientSum.reduce((sum, value) => sum + (value / gradients.weightSum) ** 2, 0);
  expect(gradientNorm / Math.sqrt(squares)).toBeCloseTo(1, 5);
});

/** SHA-256 of all state after twenty steps from the seed, in a session of its own. */
function digestAfterTwentySteps(input: Record<string, unknown>): string {
  const changed = parseTrainingRecipe({ ...recipe, ...input });
  const own = TrainingSession.create({ binding, recipe: changed, numClasses: 2 });
  own.setState(own.initialState(changed.seed));
  for (let step = 0; step < 20; step++) own.apply(own.gradients(microBatch(step), plan.dropoutSeed(step, 0)), update(step));
  const digest = own.digest();
  own.close();
  return digest;
}

test('twenty steps from one seed end with the same bits every time, whether activations are kept or recomputed', () => {
  const digest = digestAfterTwentySteps({});
  expect(digestAfterTwentySteps({})).toBe(digest);
  expect(digestAfterTwentySteps({ recompute: true })).toBe(digest);
  session.setState(start);
  expect(session.digest()).not.toBe(digest);
});

test('dropout is a function of its seed', () => {
  session.setState(start);
  const loss = (seed: Int32Array) => session.gradients(microBatch(0), seed).lossSum;
  expect(loss(plan.dropoutSeed(0, 0))).toBe(loss(plan.dropoutSeed(0, 0)));
  expect(loss(plan.dropoutSeed(0, 0))).not.toBe(loss(plan.dropoutSeed(1, 0)));
});

test('padding has no part in loss, gradient and counts', () => {
  const frozen = parseTrainingRecipe({ ...recipe, batchNorm: 'frozen', dropoutRate: 0, dropConnectRate: 0 });
  const frozenSession = TrainingSession.create({ binding, recipe: frozen, numClasses: 2 });
  frozenSession.setState(start);
  const padded = { ...microBatch(0), weights: Float32Array.of(1, 2, 0, 0) };
  const other = {
    ...padded,
    images: padded.images.slice().fill(0, padded.images.length / 2),
    labels: Int32Array.of(padded.labels[0]!, padded.labels[1]!, 1, 0),
  };
  const [a, b] = [padded, other].map((batch) => frozenSession.gradients(batch, Int32Array.of(0, 0)));
  expect(a).toMatchObject({ weightSum: 3, sampleCount: 2 });
  expect({ ...b, gradientSum: null, momentSum: null }).toEqual({ ...a, gradientSum: null, momentSum: null });
  expect(relativeDistance(a!.gradientSum, b!.gradientSum)).toBeLessThan(1e-6);
  frozenSession.close();
});

test('what does not fit is an error that names the feed, and the session goes on', () => {
  session.setState(start);
  const digest = session.digest();
  const good = microBatch(0);
  const seed = plan.dropoutSeed(0, 0);
  expect(() => session.gradients({ ...good, images: good.images.subarray(1) }, seed)).toThrow(
    'feed "images" of endpoint "gradients" has 12287 elements (12287 bytes), uint8 [4, 32, 32, 3] has 12288 (12288 bytes).',
  );
  expect(() => session.gradients({ ...good, labels: good.labels.subarray(1) }, seed)).toThrow(FeedError);
  expect(() => session.gradients(good, Int32Array.of(1))).toThrow(
    'feed "dropoutSeed" of endpoint "gradients" is int32 [1], expected int32 [2].',
  );
  expect(() => session.gradients({ ...good, labels: Int32Array.of(0, 1, 2, 0) }, seed)).toThrow(
    'label 2 at position 2 is no class: the model has 2, numbered from 0.',
  );
  expect(() => session.setState({ ...start, weights: start.weights.subarray(16) })).toThrow(FeedError);
  expect(() => session.predict(good.images, 3)).toThrow(InvalidBatchError);
  expect(session.digest()).toBe(digest);
  expect(session.gradients(good, seed).sampleCount).toBe(4);
  expect(binding.getNumOfTensors()).toBe(0);
});

test('any number of images is predicted, each as if it were alone', () => {
  session.setState(start);
  const images = new Uint8Array(Buffer.concat(samples.map(({ pixels }) => pixels)));
  const imageBytes = images.length / samples.length;
  const seven = session.predict(images.subarray(0, 7 * imageBytes), 7);
  expect(seven.probabilities).toHaveLength(14);
  const sixth = session.predict(images.subarray(5 * imageBytes, 6 * imageBytes), 1);
  expect(sixth.logits[0]).toBeCloseTo(seven.logits[10]!, 4);

  const prediction = PredictionSession.create({ binding, variant: 'B0', numClasses: 2, imageSizePx: 32, batchSize: 4 });
  prediction.setWeights(start);
  expect(prediction.predict(images.subarray(0, 7 * imageBytes), 7)).toEqual(seven);
  prediction.close();
  expect(() => prediction.predict(images, 8)).toThrow(SessionError);
});

test('the compiled graph and its interpretation operation by operation agree', () => {
  const spec = efficientNetSpec('B0', 2);
  const graph = buildTrainingGraph({ ...recipe, spec, evaluationBatchSize: 4 });
  const compiled = Session.load(binding, graph.compiled);
  const eager = new EagerInterpreter(binding);
  const vector = (data: Float32Array) => ({ data, shape: [data.length] });
  const batch = microBatch(0);
  const { weights, statistics } = initializeModel(spec, 1);
  const vectors = stateVectors({ ...start, weights, statistics });
  const state = Object.fromEntries(Object.entries(vectors).map(([name, data]) => [name, vector(data)]));
  const feeds = {
    images: { data: batch.images, shape: [4, 32, 32, 3] },
    labels: { data: batch.labels, shape: [4] },
    sampleWeights: vector(batch.weights),
    dropoutSeed: { data: plan.dropoutSeed(0, 0), shape: [2] },
  };
  const scalar = (value: number) => ({ data: Float32Array.of(value), shape: [] });
  const results = [compiled, eager].map((runner) => {
    runner.run(graph.setState, state);
    const { lossSum } = runner.run(graph.gradients, feeds);
    const { gradientSum } = runner.run(graph.sum.read, {});
    runner.run(graph.sum.stash[0]!, {});
    runner.run(graph.sum.fold[0]!, {});
    const rates = { learningRate: scalar(1e-3), beta1Power: scalar(0.9), beta2Power: scalar(0.999), statisticsMomentum: scalar(0.9) };
    const { gradientNorm } = runner.run(graph.apply, {
      ...rates,
      weightSum: scalar(8),
      momentCount: scalar(2),
    });
    return { loss: lossSum[0]!, gradientNorm: gradientNorm[0]!, gradientSum, statistics: runner.run(graph.getState, {})['statistics']! };
  });
  const [a, b] = [results[0]!, results[1]!];
  expect(b.loss / a.loss).toBeCloseTo(1, 4);
  expect(b.gradientNorm / a.gradientNorm).toBeCloseTo(1, 3);
  expect(relativeDistance(a.gradientSum, b.gradientSum)).toBeLessThan(1e-3);
  expect(relativeDistance(a.statistics, b.statistics)).toBeLessThan(1e-4);
  eager.close();
  compiled.close();
  expect(binding.getNumOfTensors()).toBe(0);
});

function relativeDistance(a: Float32Array, b: Float32Array): number {
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(a.map((value, index) => value - b[index]!)) / norm(a);
}
