import {
  downloadModel,
  forkTrainingRun,
  importDataset,
  metricSeries,
  type RecipeOverridesInput,
  startTrainingRun,
  type TrainingRun,
  trainingRun,
  trainingRunDetails,
  watchRun,
} from '@roentgen/client';
import { decodeCheckpoint } from '@roentgen/training';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

let system: System;
let original: TrainingRun;

/** Everything that a resume could get wrong: a schedule, a moving average, moments, augmentation, dropout, an epoch's order. */
const RECIPE = {
  ...{ variant: 'B0', imageSizePx: 32, epochs: 3, globalBatchSize: 8, microBatchSize: 4, seed: 3, emaDecay: 0.9 },
  augmentation: { preset: 'LIGHT' },
} as const;

beforeAll(async () => {
  system = await startSystem(inject('stack'), { environment: { WORKER_INTRA_OP_THREADS: '1' } });
  const images = await syntheticDataset({ images: 40, patients: 16 });
  const dataset = await importDataset(system.client, { name: 'chests', files: importFiles(images), split: SPLIT });
  original = await finished((await startTrainingRun(system.client, { datasetVersionId: dataset.datasetVersionId, recipe: RECIPE })).id);
});
afterAll(() => system.close());

async function finished(runId: string): Promise<TrainingRun> {
  for await (const event of watchRun(system.client, runId)) void event;
  const run = await trainingRun(system.client, runId);
  expect(run, run.statusMessage ?? '').toMatchObject({ status: 'SUCCEEDED' });
  return run;
}

/** The newest bytes of a run, and its curves after a step. */
async function outcome(runId: string, afterStep: number) {
  const points = await metricSeries(system.client, runId, ['train/loss', 'train/learning-rate', 'val/loss', 'val/accuracy', 'val/auroc']);
  return {
    checkpoints: (await trainingRunDetails(system.client, runId)).checkpoints
      .filter(({ step }) => step > afterStep)
      .map(({ step, sha256 }) => ({ step, sha256 })),
    points: points.filter(({ step }) => step > afterStep).map(({ name, step, value }) => ({ name, step, value })),
  };
}

test('a fork without overrides ends with the very bits and numbers of the run that it was forked from', async () => {
  const [first] = (await trainingRunDetails(system.client, original.id)).checkpoints;
  const fork = await finished((await forkTrainingRun(system.client, { checkpointId: first?.id ?? '' })).id);
  expect(fork).toMatchObject({
    datasetVersionId: original.datasetVersionId,
    recipe: original.recipe,
    committedStep: original.committedStep,
    forkedFrom: { runId: original.id, checkpointId: first?.id, epoch: 1, step: first?.step },
  });
  const [theirs, own] = [await outcome(original.id, first?.step ?? 0), await outcome(fork.id, 0)];
  expect(own.checkpoints).toHaveLength(2);
  expect(own.points.length).toBeGreaterThan(8);
  expect(own).toEqual(theirs);
});

test('a fork goes its own way from where it starts: other epochs, rate, moving average and optimiser', async () => {
  const fork = await forkTrainingRun(system.client, {
    runId: original.id,
    checkpoint: 'LAST',
    overrides: {
      epochs: 4,
      learningRate: 0.01,
      emaDecay: null,
      optimizer: { kind: 'ADAMW', weightDecay: 0.1 },
      schedule: { kind: 'CONSTANT' },
      imageSizePx: 48,
    },
  });
  const done = await finished(fork.id);
  expect(done).toMatchObject({
    epochs: 4,
    epoch: 4,
    recipe: { learningRate: 0.01, imageSizePx: 48 },
    forkedFrom: { step: original.committedStep },
  });
  const rates = await metricSeries(system.client, fork.id, ['train/learning-rate']);
  expect(rates.map(({ step }) => step)).toEqual(rates.map((_, index) => original.committedStep + 1 + index));
  expect(new Set(rates.map(({ value }) => value))).toEqual(new Set([0.01]));
  expect(done.model?.id).not.toBe(original.model?.id);
});

/** What the model of a run is made of, with everything else that its checkpoint holds. */
async function checkpointOfModel(run: TrainingRun) {
  const { tensors, description } = await downloadModel(system.client, run.model?.id ?? '');
  return decodeCheckpoint(tensors, description);
}

/** A fork from the checkpoint of a run's model that trains on for one epoch, in which nothing can be learned. */
async function standStill(from: TrainingRun, overrides: RecipeOverridesInput) {
  const { state, description } = await checkpointOfModel(from);
  const { checkpoints } = await trainingRunDetails(system.client, from.id);
  const checkpointId = checkpoints.find(({ step }) => step === description.step)?.id ?? '';
  const epochs = description.epoch + 1;
  const fork = await forkTrainingRun(system.client, { checkpointId, overrides: { ...STANDING_STILL, ...overrides, epochs } });
  return { before: state, run: await finished(fork.id) };
}

const [BETA1, BETA2] = [0.9999, 0.99999];

/** Gradients as good as nothing, and updates less than the last bit of any weight: all that happens to the moments is that they fade. */
const STANDING_STILL = {
  learningRate: 1e-30,
  clipNorm: 1e-6,
  schedule: { kind: 'CONSTANT' },
  batchNorm: 'FROZEN',
  optimizer: { kind: 'ADAMW', weightDecay: 0, beta1: BETA1, beta2: BETA2 },
} as const;

const bits = (vector: Float32Array | null | undefined) =>
  vector ? Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength) : null;
const norm = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));

/** How far a vector is from what another one fades to, as a share of the latter. */
function distance(after: Float32Array | undefined, before: Float32Array | undefined, factor: number): number {
  if (!after || !before) throw new Error('one of the vectors is missing');
  return norm(after.map((x, i) => x - factor * (before[i] ?? 0))) / (factor * norm(before));
}

test('a fork with another recipe takes over weights, statistics and moments; a new moving average starts as the weights are', async () => {
  const plain = await standStill(original, { emaDecay: null });
  const { state } = await checkpointOfModel(plain.run);
  expect(plain.before.ema).not.toEqual(plain.before.weights);
  expect(state.ema).toBeNull();
  expect(bits(state.weights)?.equals(bits(plain.before.weights) ?? Buffer.of())).toBe(true);
  expect(bits(state.statistics)?.equals(bits(plain.before.statistics) ?? Buffer.of())).toBe(true);
  const steps = plain.run.committedStep - (plain.run.forkedFrom?.step ?? 0);
  for (const [slot, beta] of [
    ['m', BETA1],
    ['v', BETA2],
  ] as const) {
    expect(distance(state.slots[slot], plain.before.slots[slot], beta ** steps), slot).toBeLessThan(1e-6);
  }

  const averaged = await standStill(plain.run, { emaDecay: 0.5 });
  const again = await checkpointOfModel(averaged.run);
  expect(bits(again.state.weights)?.equals(bits(state.weights) ?? Buffer.of())).toBe(true);
  expect(bits(again.state.ema)?.equals(bits(state.weights) ?? Buffer.of())).toBe(true);
});
