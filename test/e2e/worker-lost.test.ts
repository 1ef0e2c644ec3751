import { importDataset, type RunEvent, startTrainingRun, trainingRun, watchRun } from '@roentgen/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

let system: System;
beforeAll(async () => {
  system = await startSystem(inject('stack'), {
    workers: 2,
    environment: { WORKER_INTRA_OP_THREADS: '1', COORDINATOR_WORKER_LOST_MS: '2000' },
  });
});
afterAll(() => system.close());

test('a run whose worker is killed goes on from its last checkpoint on another worker, and ends with the numbers of one that was left alone', async () => {
  const { client } = system;
  const dataset = await importDataset(client, {
    name: 'chests',
    files: importFiles(await syntheticDataset({ images: 40, patients: 16 })),
    split: SPLIT,
  });
  const recipe = { variant: 'B0', imageSizePx: 32, epochs: 4, globalBatchSize: 8, microBatchSize: 8, seed: 3 };
  const calm = await startTrainingRun(client, { datasetVersionId: dataset.datasetVersionId, recipe });
  const calmEvents: RunEvent[] = [];
  for await (const event of watchRun(client, calm.id)) calmEvents.push(event);

  const shaken = await startTrainingRun(client, { datasetVersionId: dataset.datasetVersionId, recipe });
  const events: RunEvent[] = [];
  for await (const event of watchRun(client, shaken.id)) {
    events.push(event);
    if (event.kind === 'CHECKPOINT_SAVED' && event.epoch === 1) holderOf(events).kill('SIGKILL');
  }

  const run = await trainingRun(client, shaken.id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', epoch: 4 });
  expect(events.map((event) => event.sequence)).toEqual(events.map((_, index) => index + 1));
  expect(events.filter((event) => event.kind === 'ATTEMPT_ASSIGNED')).toHaveLength(2);
  expect(events.some((event) => event.kind === 'ATTEMPT_LOST')).toBe(true);
  expect(lastEvaluation(events)).toEqual(lastEvaluation(calmEvents));
});

/** The worker process that was given the run. */
function holderOf(events: readonly RunEvent[]) {
  const assigned = events.find((event) => event.kind === 'ATTEMPT_ASSIGNED')?.message ?? '';
  const holder = system.workers.find((worker) => assigned.includes(worker.name));
  if (holder === undefined) throw new Error(`no worker is named in "${assigned}"`);
  return holder;
}

function lastEvaluation(events: readonly RunEvent[]) {
  const evaluated = events.findLast((event) => event.kind === 'EVALUATED');
  return { epoch: evaluated?.epoch, step: evaluated?.step, metrics: evaluated?.metrics };
}
