import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadCsv, type ImportFile, predict, trainingRun, uploadImages } from '@roentgen/client';
import type { Stack } from '@roentgen/local-stack';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { expectContinued, expectImported, expectTidy, importUntil, loseWorker, predictUntil } from '../testkit/faults/chunk-work.js';
import { EVENTUALLY, FaultSystem, type Outcome } from '../testkit/faults/fault-system.js';
import { expectSameOutcome } from '../testkit/faults/same-outcome.js';
import { expectFelt, RECIPE, trainThrough, trainUntil, type Strike } from '../testkit/faults/strike.js';
import { startTestStack } from '../testkit/global-stack.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';

let folder: string;
let stack: Stack;
let system: FaultSystem;
let calm: Outcome;
let calmRunId: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-faults-'));
  stack = await startTestStack({ profile: 'durable', dataDirectory: folder });
  system = await FaultSystem.start(stack);
  const run = await system.train(RECIPE);
  await run.ended();
  calmRunId = run.id;
  calm = await system.outcome(run);
});
afterAll(async () => {
  await system.close();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Before anything that leaves a checkpoint behind: these leave nothing. */
describe('goes on with what was not done when its worker is killed', () => {
  let xrays: readonly ImportFile[];

  test('an import of images', async () => {
    // Three chunks of 32, and later two of a prediction.
    xrays = importFiles(await syntheticDataset({ images: 96, patients: 48, sizePx: 32, seed: 7 }));
    const { dataset, waiting } = await importUntil(system, { name: 'struck', files: xrays, split: SPLIT }, 80);
    const [{ datasetVersionId }] = await Promise.all([dataset, loseWorker(system, waiting)]);
    await expectContinued(system, waiting, 2);
    await expectImported(system, datasetVersionId, xrays);
    await expectTidy(system);
  });

  test('a prediction', async () => {
    const { uploadId } = await uploadImages(system.client, xrays);
    const model = (await trainingRun(system.client, calmRunId)).model?.id ?? '';
    const request = { modelId: model, uploadId };
    const calmCsv = await downloadCsv(system.client, (await predict(system.client, request)).id);
    const { job, waiting } = await predictUntil(system, request, xrays.at(-1)!);
    await Promise.all([job, loseWorker(system, waiting)]);
    await expectContinued(system, waiting, 2);
    expect(await downloadCsv(system.client, (await job).id)).toBe(calmCsv);
    await expectTidy(system);
  });
});

/** One for each mechanism; the others are in test/faults. */
const STRIKES: readonly (readonly [string, Strike])[] = [
  ['whose worker is killed while it sends a checkpoint', { target: 'worker', fault: 'SIGKILL', phase: 'checkpoint upload' }],
  ['whose worker is stopped, taken for lost, and comes back', { target: 'worker', fault: 'SIGSTOP', phase: 'step' }],
  ['whose worker is shut down in mid-epoch', { target: 'worker', fault: 'SIGTERM', phase: 'step' }],
  ['whose coordinator is stopped, replaced, and comes back', { target: 'coordinator', fault: 'SIGSTOP', phase: 'evaluation' }],
  ['whose watchers lose the gateway', { target: 'gateway', fault: 'SIGKILL', phase: 'loading' }],
];

describe('ends with the same bits, numbers and predictions as one that was left alone: a run', () => {
  test.each(STRIKES)('%s', async (_name, strike) => {
    const { run, struck } = await trainThrough(system, strike);
    await expectFelt(system, run, struck, strike);
    await expectSameOutcome(system, run, calm, strike.target === 'worker' && strike.fault !== 'SIGTERM' ? 1 : 0);
  });

  test('in which database, broker and store are killed and started again', async () => {
    const { run, release } = await trainUntil(system, 'checkpoint upload');
    for (const part of stack.processes()) await part.kill('SIGKILL');
    release();
    for (const part of stack.processes()) await vi.waitFor(() => part.restart(), EVENTUALLY);
    await run.ended();
    await expectSameOutcome(system, run, calm, 1);
    expect(run.count('RUN_SUCCEEDED')).toBe(1);
  });
});
