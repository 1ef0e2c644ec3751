import { parseTrainingRecipe } from '@roentgen/domain';
import type { OptimizerRecipe } from '@roentgen/domain';
import { loadBinding, viewEntry } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { StepGradients } from '../step-gradients.js';
import { pseudoRandom } from '../parity/reference-fixture.js';
import { TrainingSession } from '../training-session.js';
import { weightDecayMask } from './masks.js';

const STEPS = 3;
const LEARNING_RATE = 0.01;
const WEIGHT_SUM = 4;

let binding: TensorFlowBinding;
let session: TrainingSession;
beforeAll(() => {
  binding = loadBinding();
});
afterEach(() => session.close());

function open(input: Record<string, unknown>): TrainingSession {
  const recipe = parseTrainingRecipe({ imageSizePx: 32, globalBatchSize: 4, microBatchSize: 4, ...input });
  session = TrainingSession.create({ binding, recipe, numClasses: 2 });
  session.setState(session.initialState(1));
  return session;
}

/** Made-up numbers in (−1, 1); every step reads them from another place on. */
let random = new Float32Array(0);

/** Sums over a step as they would come out of micro-batches, with values in (−scale, scale). */
function gradientsOf(step: number, scale = 0.1): StepGradients {
  const { parameters, statistics } = session.spec;
  if (random.length === 0) random = Float32Array.from(pseudoRandom('gradient', parameters.length + 1000), (value) => value / 2 ** 31 - 1);
  const gradientSum = random.slice(step * 100, step * 100 + parameters.length);
  for (let i = 0; i < gradientSum.length; i++) gradientSum[i]! *= WEIGHT_SUM * scale;
  return {
    gradientSum,
    momentSum: new Float32Array(statistics.length),
    ...{ momentCount: 1, lossSum: 1, weightSum: WEIGHT_SUM, correctSum: 0, sampleCount: 4 },
  };
}

const options = (step: number, learningRate = LEARNING_RATE) => ({ step, learningRate, statisticsMomentum: 0.9 });

type Vector = Float32Array | Float64Array;

interface Reference {
  readonly weights: Float64Array;
  readonly slots: Readonly<Record<string, Float64Array>>;
}

interface PerParameter {
  /** What weight decay applies to. */
  readonly mask: Float32Array;
  /** Share of the learning rate. */
  readonly scales: Float64Array;
}

/**
 * layerDecay^depth, read off the names: stem, one block after the other, and the top, which is as deep as the last block; then the
 * classifier, with the whole rate.
 */
function namedScales(layerDecay: number | null): Float64Array {
  const { entries, length } = session.spec.parameters;
  if (layerDecay === null) return new Float64Array(length).fill(1);
  const groupOf = (name: string) => /^(stem|block\d[a-z]|predictions)/.exec(name)?.[1] ?? 'top';
  const groups = [...new Set(entries.map(({ name }) => groupOf(name)))].filter((group) => group !== 'top');
  const scales = new Float64Array(length);
  for (const { name, offset, length: count } of entries) {
    const group = groupOf(name) === 'top' ? groups.at(-2)! : groupOf(name);
    scales.fill(layerDecay ** (groups.length - 1 - groups.indexOf(group)), offset, offset + count);
  }
  return scales;
}

/** One step in float64 with the recipe's numbers as float32 has them; t counts from 1. */
function referenceStep(
  optimizer: OptimizerRecipe,
  { weights: w, slots }: Reference,
  g: Float64Array,
  { mask, scales }: PerParameter,
  t: number,
): void {
  const f = Math.fround;
  const base = f(LEARNING_RATE);
  if (optimizer.kind === 'sgd') {
    const a = slots['momentum']!;
    const mu = f(optimizer.momentum);
    for (let i = 0; i < w.length; i++) {
      a[i] = mu * a[i]! + g[i]!;
      w[i] = w[i]! - base * scales[i]! * (optimizer.nesterov ? g[i]! + mu * a[i]! : a[i]!);
    }
    return;
  }
  const [beta1, beta2, epsilon] = [f(optimizer.beta1), f(optimizer.beta2), optimizer.epsilon];
  const [correction1, correction2] = [1 - f(optimizer.beta1 ** t), 1 - f(optimizer.beta2 ** t)];
  const [m, v] = [slots['m']!, slots['v']!];
  for (let i = 0; i < w.length; i++) {
    m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!;
    v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! ** 2;
    const rate = base * scales[i]!;
    if (optimizer.kind === 'adam') {
      w[i] = w[i]! - (((rate * Math.sqrt(correction2)) / correction1) * m[i]!) / (Math.sqrt(v[i]!) + epsilon);
    } else {
      const decayed = w[i]! - rate * optimizer.weightDecay * mask[i]! * w[i]!;
      w[i] = decayed - (rate * (m[i]! / correction1)) / (Math.sqrt(v[i]! / correction2) + epsilon);
    }
  }
}

test.each([
  { optimizer: { kind: 'adam' } },
  { optimizer: { kind: 'adam', epsilon: 0.01 } },
  { optimizer: { kind: 'adamw', weightDecay: 0.5, epsilon: 0.01 } },
  { optimizer: { kind: 'sgd' } },
  { optimizer: { kind: 'sgd', nesterov: false, momentum: 0.5 } },
  { optimizer: { kind: 'adamw', weightDecay: 0.5, epsilon: 0.01 }, layerDecay: 0.8 },
  { optimizer: { kind: 'sgd' }, layerDecay: 0.7 },
])('$optimizer with layer decay $layerDecay makes the updates of its formula', (input) => {
  const { recipe, spec } = open(input);
  const start = session.getState();
  const reference: Reference = {
    weights: new Float64Array(start.weights),
    slots: Object.fromEntries(Object.keys(start.slots).map((slot) => [slot, new Float64Array(start.weights.length)])),
  };
  const perParameter = { mask: weightDecayMask(spec.parameters), scales: namedScales(recipe.layerDecay) };
  for (let step = 0; step < STEPS; step++) {
    const gradients = gradientsOf(step);
    session.apply(gradients, options(step));
    const mean = new Float64Array(gradients.gradientSum);
    for (let i = 0; i < mean.length; i++) mean[i]! /= WEIGHT_SUM;
    referenceStep(recipe.optimizer, reference, mean, perParameter, step + 1);
  }
  const state = session.getState();
  const moved = (weights: Vector) => {
    const difference = new Float64Array(weights);
    for (let i = 0; i < difference.length; i++) difference[i]! -= start.weights[i]!;
    return difference;
  };
  const [expected, got] = [moved(reference.weights), moved(state.weights)];
  expect(relativeDistance(expected, got)).toBeLessThan(1e-5);
  // Layers near the input move least: as part of the whole a wrong one would not show. The weights themselves are rounded in every step.
  for (const { name, offset, length } of spec.parameters.entries) {
    const part = (vector: Vector) => vector.subarray(offset, offset + length);
    const rounding = STEPS * 2 ** -24 * norm(part(start.weights));
    expect(distance(part(expected), part(got)), name).toBeLessThan(1e-4 * norm(part(expected)) + rounding);
  }
  for (const [slot, vector] of Object.entries(reference.slots)) {
    expect(relativeDistance(vector, state.slots[slot]!), slot).toBeLessThan(1e-5);
  }
});

test('without a gradient AdamW only shrinks kernels', () => {
  open({ optimizer: { kind: 'adamw', weightDecay: 0.5 } });
  const shifted = session.initialState(1);
  const before = { ...shifted, weights: shifted.weights.map((value) => value + 0.25) };
  session.setState(before);
  session.apply(gradientsOf(0, 0), options(0, 0.5));
  const after = session.getState().weights;
  for (const entry of session.spec.parameters.entries) {
    const [old, now] = [viewEntry(before.weights, entry), viewEntry(after, entry)];
    const expected = entry.group === 'kernel' ? old.map((value) => value - value * 0.25) : old;
    expect(relativeDistance(expected, now), entry.name).toBeLessThan(entry.group === 'kernel' ? 1e-6 : Number.MIN_VALUE);
  }
});

test('under layer decay the head learns bit by bit as without, and a decay of 1 is none', () => {
  const steps = (input: object) => {
    open({ optimizer: { kind: 'adamw', weightDecay: 0.5 }, ...input });
    for (let step = 0; step < 3; step++) session.apply(gradientsOf(step), options(step));
    const head = session.spec.parameters.entries.find(({ name }) => name === 'predictions/kernel')!;
    const result = { digest: session.digest(), head: viewEntry(session.getState().weights, head).slice() };
    session.close();
    return result;
  };
  const [without, one, decayed] = [steps({}), steps({ layerDecay: 1 }), steps({ layerDecay: 0.5 })];
  expect(one.digest).toBe(without.digest);
  expect(decayed.digest).not.toBe(without.digest);
  expect(sameBits(decayed.head, without.head)).toBe(true);
});

test('a gradient within clipNorm keeps its bits, a longer one gets exactly that length; the norm is told before clipping', () => {
  const plainDescent = { optimizer: { kind: 'sgd', momentum: 0 } };
  const update = (clipNorm: number | null) => {
    open({ ...plainDescent, clipNorm });
    session.setState({ ...session.getState(), weights: new Float32Array(session.spec.parameters.length) });
    const { gradientNorm } = session.apply(gradientsOf(0), options(0, 1));
    return { gradientNorm, weights: session.getState().weights };
  };
  const free = update(null);
  session.close();
  const loose = update(free.gradientNorm * 1.001);
  session.close();
  const tight = update(3);
  expect(free.gradientNorm / norm(free.weights)).toBeCloseTo(1, 5);
  expect(loose.gradientNorm).toBe(free.gradientNorm);
  expect(sameBits(loose.weights, free.weights)).toBe(true);
  expect(tight.gradientNorm).toBe(free.gradientNorm);
  expect(norm(tight.weights) / 3).toBeCloseTo(1, 5);
  const scale = 3 / free.gradientNorm;
  expect(
    relativeDistance(
      free.weights.map((value) => value * scale),
      tight.weights,
    ),
  ).toBeLessThan(1e-6);
});

test('the moving average follows the weights, faster in the first steps', () => {
  open({ optimizer: { kind: 'sgd' }, emaDecay: 0.6 });
  const average = Float64Array.from(session.getState().ema!);
  for (let step = 0; step < 9; step++) {
    session.apply(gradientsOf(step), options(step));
    const decay = Math.min(0.6, (1 + step) / (10 + step));
    const { weights } = session.getState();
    for (let i = 0; i < average.length; i++) average[i] = decay * average[i]! + (1 - decay) * weights[i]!;
  }
  const { ema, weights } = session.getState();
  expect(relativeDistance(average, ema!)).toBeLessThan(1e-6);
  expect(relativeDistance(average, weights)).toBeGreaterThan(1e-4);
});

test.each(['adamw', 'sgd'])('in a frozen phase only the head moves under %s, and the next one starts with an empty optimiser', (kind) => {
  open({ optimizer: { kind }, freeze: { until: 'head', epochs: 1 } });
  const start = session.getState().weights;
  for (let step = 0; step < 3; step++) session.apply(gradientsOf(step), { ...options(step), phase: { firstStep: 0, headOnly: true } });
  const { weights: frozen, statistics } = session.getState();
  for (const entry of session.spec.parameters.entries) {
    const moves = relativeDistance(viewEntry(frozen, entry), viewEntry(start, entry)) > 0;
    expect(moves, entry.name).toBe(entry.name.startsWith('predictions/'));
  }
  session.apply(gradientsOf(3), { ...options(3), phase: { firstStep: 3, headOnly: false } });
  const digest = session.digest();
  session.setState({ ...session.initialState(1), weights: frozen, statistics });
  session.apply(gradientsOf(3), { ...options(0), phase: { firstStep: 0, headOnly: false } });
  expect(session.digest()).toBe(digest);
});

/** Vectors of millions of numbers: the comparison of the test library would take minutes. */
function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

function norm(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value ** 2;
  return Math.sqrt(sum);
}

/** |a − b|. */
function distance(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

/** |a − b| / |a|; 0 for two vectors of zeros. */
function relativeDistance(a: Vector, b: Vector): number {
  const apart = distance(a, b);
  return apart === 0 ? 0 : apart / norm(a);
}
