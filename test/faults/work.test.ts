import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  downloadCsv,
  importDataset,
  type ImportFile,
  importWeights,
  predict,
  type PredictionJob,
  trainingRun,
  uploadImages,
  type UploadProgress,
  type WeightSet,
} from '@roentgen/client';
import type { PartName, Stack } from '@roentgen/local-stack';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  expectContinued,
  expectImported,
  expectTidy,
  importUntil,
  kill,
  loseWorker,
  predictUntil,
  waitingIn,
} from '../testkit/faults/chunk-work.js';
import { EVENTUALLY, FaultSystem } from '../testkit/faults/fault-system.js';
import { expectNoOrphans } from '../testkit/faults/same-outcome.js';
import { RECIPE } from '../testkit/faults/strike.js';
import { startTestStack } from '../testkit/global-stack.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import { kerasWeightsFile } from '../testkit/weights-files.js';

let folder: string;
let stack: Stack;
let system: FaultSystem;
let modelId: string;
/** Three chunks of a prediction. */
let xrays: readonly ImportFile[];
let uploadId: string;
let calmCsv: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-work-'));
  stack = await startTestStack({ profile: 'durable', dataDirectory: folder });
  system = await FaultSystem.start(stack, {
    gated: ['worker', 'gateway'],
    environment: { WORKER_WEIGHTS_PRIVATE_ADDRESSES: 'yes' },
  });
  const run = await system.train({ ...RECIPE, epochs: 1 });
  await run.ended();
  modelId = (await trainingRun(system.client, run.id)).model?.id ?? '';
  xrays = importFiles(await syntheticDataset({ images: 160, patients: 160, sizePx: 32, seed: 7 }));
  ({ uploadId } = await uploadImages(system.client, xrays));
  calmCsv = await csvOf(await predict(system.client, { modelId, uploadId }));
});
afterAll(async () => {
  await system.close();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
});

const csvOf = (job: PredictionJob) => downloadCsv(system.client, job.id);

const predictUntilHeld = () => predictUntil(system, { modelId, uploadId }, xrays.at(-1)!);

describe('a prediction says the same of each image, each chunk that was done once', () => {
  test('when its worker is killed while it reads an image', async () => {
    const { job, waiting } = await predictUntilHeld();
    await Promise.all([loseWorker(system, waiting), job]);
    expect(await csvOf(await job)).toBe(calmCsv);
    await expectContinued(system, waiting, 2);
    await expectTidy(system);
  });

  test('when all coordinators are killed, and it is computed while there is none', async () => {
    const { job, waiting } = await predictUntilHeld();
    const coordinators = system.system.running('coordinator');
    await kill(...coordinators);
    waiting.release();
    await vi.waitFor(() => {
      const refused = system.system.logOf(waiting.worker.name).map((line) => line['msg']);
      expect(refused).toContain('the result of a chunk could not be handed in');
    }, EVENTUALLY);
    await Promise.all(coordinators.map(() => system.system.addProcess('coordinator')));
    expect(await csvOf(await job)).toBe(calmCsv);
    await expectContinued(system, waiting, 1);
    await expectTidy(system);
  });

  test('when its client has no gateway for a while', async () => {
    const { job, waiting } = await predictUntilHeld();
    await kill(...system.system.running('gateway'));
    waiting.release();
    await system.system.addProcess('gateway');
    expect(await csvOf(await job)).toBe(calmCsv);
    await expectContinued(system, waiting, 1);
    await expectTidy(system);
  });

  const OUTAGES: readonly (readonly [PartName, number])[] = [
    ['store', 0],
    ['store', 20_000],
    ['nats', 0],
    ['postgres', 0],
  ];
  test.each(OUTAGES)('with %s killed while it reads an image, and away for %i ms', async (name, awayMs) => {
    const part = stack.processes().find((candidate) => candidate.name === name)!;
    const { job, waiting } = await predictUntilHeld();
    await part.kill('SIGKILL');
    waiting.release();
    await sleep(awayMs);
    await vi.waitFor(() => part.restart(), EVENTUALLY);
    expect(await csvOf(await job)).toBe(calmCsv);
    await expectContinued(system, waiting, 1);
    await expectTidy(system);
  });
});

describe('an import has each image once, as it was sent', () => {
  /** Three chunks of an inspection; new to the project. */
  const newImages = async (seed: number) => importFiles(await syntheticDataset({ images: 96, patients: 48, sizePx: 32, seed }));

  test('when its worker is killed while it inspects one', async () => {
    const files = await newImages(11);
    const { dataset, waiting } = await importUntil(system, { name: 'inspected', files, split: SPLIT }, 80);
    const [{ datasetVersionId, sentCount }] = await Promise.all([dataset, loseWorker(system, waiting)]);
    expect(sentCount).toBe(files.length);
    await expectContinued(system, waiting, 2);
    await expectImported(system, datasetVersionId, files);
    await expectTidy(system);
  });

  test('when the store is away while they are sent', async () => {
    const files = await newImages(13);
    const store = stack.processes().find(({ name }) => name === 'store')!;
    let outage: Promise<void> | undefined;
    const away = async () => {
      await store.kill('SIGKILL');
      await sleep(10_000);
      await vi.waitFor(() => store.restart(), EVENTUALLY);
    };
    const onProgress = ({ phase, done }: UploadProgress) => {
      if (phase === 'send' && done >= 10) outage ??= away();
    };
    const { datasetVersionId, sentCount } = await importDataset(system.client, { name: 'sent', files, split: SPLIT, onProgress });
    expect(outage).toBeDefined();
    await outage;
    expect(sentCount).toBe(files.length);
    await expectImported(system, datasetVersionId, files);
    await expectTidy(system);
  });

  test('when the gateway is killed that makes it a dataset', async () => {
    const files = await newImages(12);
    const held = system.gate.hold({ matches: ({ method, key }) => method === 'PUT' && key.includes('/manifests/'), when: 'after' });
    const dataset = importDataset(system.client, { name: 'finished', files, split: SPLIT });
    await Promise.race([held, dataset]);
    await kill(...system.system.running('gateway'));
    const [{ datasetVersionId, isNew, version }] = await Promise.all([dataset, system.system.addProcess('gateway')]);
    expect({ isNew, version }).toEqual({ isNew: true, version: 1 });
    await expectImported(system, datasetVersionId, files);
    await expectTidy(system);
  });
});

describe('an import of weights', () => {
  const FILE = kerasWeightsFile('B0');
  let server: Server;
  /** Told when half of the file was sent to somebody who waits for the rest; null: all of it is sent. */
  let halfSent: (() => void) | null = null;
  let requests = 0;

  beforeAll(async () => {
    server = createServer((_, response) => {
      requests++;
      response.writeHead(200, { 'content-length': FILE.byteLength });
      const tell = halfSent;
      halfSent = null;
      if (tell === null) response.end(FILE);
      else response.write(FILE.subarray(0, FILE.byteLength / 2), () => tell());
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterAll(() => void server.close());

  const imported = (name: string, onProgress: (set: WeightSet) => void = () => undefined) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/b0.safetensors`;
    return importWeights(system.client, { name, url }, { onProgress });
  };

  test('is the same when its worker is killed half-way', async () => {
    const { sha256, sourceSha256 } = await imported('calm');
    const half = new Promise<{ release: () => void }>((resolve) => (halfSent = () => resolve({ release: () => undefined })));
    let id: string | undefined;
    const set = imported('struck', (answer) => (id = answer.id));
    const waiting = await waitingIn(system, half, set, () => id);
    await Promise.all([set, loseWorker(system, waiting)]);
    expect(await set).toMatchObject({ status: 'READY', sha256, sourceSha256 });
    expect(requests).toBe(3);
    await expectContinued(system, waiting, 2);
    await expectTidy(system);
  });
});

test('nothing was left behind in the store, and nothing goes that is needed', async () => {
  await expectNoOrphans(system);
});
