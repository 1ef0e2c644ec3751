import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importDataset, type RunEvent, startTrainingRun, trainingRun, watchRun, workers } from '@roentgen/client';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { rawGraphql } from '../testkit/graphql-client.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

const GIB = 2 ** 30;
let system: System;
let cache: string;

/** One worker that tries its machine in earnest, with an empty cache; it begins with nothing new after a second. */
beforeAll(async () => {
  cache = mkdtempSync(join(tmpdir(), 'roentgen-worker-facts-'));
  system = await startSystem(inject('stack'), {
    environment: {
      ...{ WORKER_SELFTEST: 'quick', WORKER_SELFTEST_TIMEOUT_MS: '1000', ROENTGEN_CACHE_DIR: cache },
      ...{ WORKER_DEVICE: 'cpu', WORKER_INTRA_OP_THREADS: '1', WORKER_MEMORY_BYTES: String(4 * GIB) },
    },
  });
});
afterAll(async () => {
  await system.close();
  rmSync(cache, { recursive: true, force: true });
});

test('a worker tries its machine before it takes work and registers the result; one that was cut off is no result for the next start', async () => {
  const [worker] = await vi.waitFor(async () => {
    const found = await workers(system.client);
    expect(found[0]?.selftest).toBeTruthy();
    return found;
  });
  expect(worker).toMatchObject({
    ...{ ineligibleReason: null, memoryBudgetBytes: 4 * GIB, intraOpThreads: 1, interOpThreads: 0, xla: false, deterministicOps: false },
    selftest: { verdict: 'PASS', level: 'QUICK', tensorflowVersion: '2.21.0' },
  });
  const verdicts = new Map(worker!.selftest!.checks.map(({ name, verdict }) => [name, verdict]));
  expect(verdicts.get('device')).toBe('PASS');
  expect(verdicts.get('speed B7@600')).toBe('SKIPPED');
  expect(existsSync(join(cache, 'selftest'))).toBe(false);

  const second = await system.addWorker();
  await vi.waitFor(async () => {
    const own = (await workers(system.client)).find(({ name }) => name === second.name)?.selftest;
    expect(own?.at).toBeTruthy();
    expect(own?.at).not.toBe(worker!.selftest!.at);
  });
  await second.stop();
});

test('a run that no worker has the memory for is refused, with what to change', async () => {
  const datasetVersionId = await chests('too-large');
  await expect(startTrainingRun(system.client, { datasetVersionId, recipe: { variant: 'B7' } })).rejects.toThrow(
    /B7 at 600 px needs .* the largest worker may use 4\.0 GiB\. Use recompute, a smaller imageSizePx/,
  );
});

test('a run whose compute process is aborted says how it ended, and goes on', async () => {
  const datasetVersionId = await chests('aborted');
  const recipe = { variant: 'B0', imageSizePx: 32, epochs: 3, globalBatchSize: 8, seed: 3 };
  const { id } = await startTrainingRun(system.client, { datasetVersionId, recipe });
  const events: RunEvent[] = [];
  for await (const event of watchRun(system.client, id)) {
    events.push(event);
    if (event.kind === 'CHECKPOINT_SAVED' && event.epoch === 1) process.kill(computeProcess(), 'SIGABRT');
  }
  expect(events.find(({ kind }) => kind === 'ATTEMPT_ASSIGNED')?.message).toMatch(/micro-batches of 8$/);
  const failures = events.filter(({ kind }) => kind === 'ATTEMPT_FAILED');
  expect(failures).toMatchObject([{ failureCode: 'COMPUTE_PROCESS_DIED', message: expect.stringContaining('SIGABRT') as string }]);
  expect(events.some(({ kind }) => kind === 'ATTEMPT_LOST')).toBe(false);
  const run = await trainingRun(system.client, id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', recipe: { microBatchSize: 8, imageSizePx: 32 } });
  const answer = await rawGraphql(system.url, `{ trainingRun(id: "${id}") { attempts { status causeCode } } }`, {
    headers: { 'content-type': 'application/json', authorization: `Bearer ${system.adminToken}` },
  });
  expect(answer.body).toMatchObject({
    data: {
      trainingRun: {
        attempts: [
          { status: 'FAILED', causeCode: 'COMPUTE_PROCESS_DIED' },
          { status: 'SUCCEEDED', causeCode: null },
        ],
      },
    },
  });
});

async function chests(name: string): Promise<string> {
  const images = await syntheticDataset({ images: 40, patients: 16 });
  return (await importDataset(system.client, { name, files: importFiles(images), split: SPLIT })).datasetVersionId;
}

/** The process that the worker's supervisor runs TensorFlow in. */
function computeProcess(): number {
  const { pid } = system.workers[0]!;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).map(Number);
  const found = children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('process-main'));
  if (found === undefined) throw new Error(`worker ${pid} has no compute process`);
  return found;
}
