import { readFileSync } from 'node:fs';
import { EFFICIENTNET_VARIANT_NAMES, parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding, viewEntry } from '@roentgen/tensorflow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { TrainingState } from '../optimizer/training-state.js';
import { decodeSafetensors } from '../safetensors.js';
import { TrainingSession } from '../training-session.js';
import { fixtureBatch, fixtureVector } from './reference-fixture.js';

/** Made by scripts/fixtures/make-pytorch-fixtures.py: timm's B0 under torch.optim.AdamW in float64. */
const fixture = (extension: string) => readFileSync(new URL(`../../fixtures/timm-b0-adamw.${extension}`, import.meta.url));
const {
  steps,
  learningRate,
  statisticsMomentum,
  sample,
  losses: theirLosses,
  ...setup
} = z
  .object({
    variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
    batchNorm: z.enum(['batch', 'frozen']),
    imageSizePx: z.int(),
    batchSize: z.int(),
    labelSmoothing: z.number(),
    optimizer: z.looseObject({ kind: z.literal('adamw'), weightDecay: z.number() }),
    steps: z.int(),
    learningRate: z.number(),
    statisticsMomentum: z.number(),
    classes: z.int(),
    sample: z.int(),
    losses: z.array(z.number()),
  })
  .parse(JSON.parse(fixture('json').toString()));
const theirs = decodeSafetensors(fixture('safetensors'));

let session: TrainingSession;
let before: TrainingState;
let after: TrainingState;
let ourLosses: number[];

beforeAll(() => {
  const { batchSize, classes, ...recipe } = setup;
  session = TrainingSession.create({
    binding: loadBinding(),
    recipe: parseTrainingRecipe({ ...recipe, globalBatchSize: batchSize, microBatchSize: batchSize, dropoutRate: 0, dropConnectRate: 0 }),
    numClasses: classes,
  });
  const { parameters, statistics } = session.spec;
  before = { ...session.initialState(0), weights: fixtureVector(parameters), statistics: fixtureVector(statistics) };
  session.setState(before);
  const batch = fixtureBatch(setup);
  ourLosses = Array.from({ length: steps }, (_, step) => {
    const gradients = session.gradients(batch, Int32Array.of(0, step));
    session.apply(gradients, { step, learningRate, statisticsMomentum });
    return gradients.lossSum / gradients.weightSum;
  });
  after = session.getState();
});
afterAll(() => session.close());

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
const distance = (ours: Float32Array, reference: Float32Array) => norm(reference.map((value, i) => value - ours[i]!)) / norm(reference);

test('the loss of each of ten steps is that of PyTorch', () => {
  expect(theirLosses).toHaveLength(10);
  ourLosses.forEach((loss, step) => expect(Math.abs(loss / theirLosses[step]! - 1), `step ${step}`).toBeLessThan(1e-5));
});

test('after ten steps of AdamW every weight has gone the way that it goes in PyTorch', () => {
  const { entries } = session.spec.parameters;
  const ways = entries.map((entry) => {
    const [old, now] = [viewEntry(before.weights, entry), viewEntry(after.weights, entry)];
    const stride = Math.max(1, Math.floor(entry.length / sample));
    const reference = theirs.get(`moved/${entry.name}`)!.data;
    return { name: entry.name, ours: reference.map((_, i) => now[i * stride]! - old[i * stride]!), reference };
  });
  const total = norm(ways.map(({ reference }) => norm(reference)));
  // What hardly moves has gradients of 0 in theory, and moves by rounding.
  const relevant = ways.filter(({ reference }) => norm(reference) > 1e-3 * total);
  expect(relevant.length).toBeGreaterThan(150);
  expect(
    relevant.map(({ name, ours, reference }) => ({ name, distance: distance(ours, reference) })).filter((way) => !(way.distance <= 1e-3)),
  ).toEqual([]);
});

test('running statistics are those of PyTorch: means, and unbiased variances', () => {
  const compared = session.spec.statistics.entries.filter(({ name }) => theirs.has(`statistic/${name}`));
  expect(compared).toHaveLength(6);
  for (const entry of compared) {
    expect(distance(viewEntry(after.statistics, entry), theirs.get(`statistic/${entry.name}`)!.data), entry.name).toBeLessThan(1e-4);
  }
});
