import {
  forkTrainingRun,
  importDataset,
  metricSeries,
  startTrainingRun,
  type TrainingRun,
  trainingRun,
  trainingRunDetails,
  watchRun,
} from '@roentgen/client';
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
