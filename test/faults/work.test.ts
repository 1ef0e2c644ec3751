import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
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
  samples,
  trainingRun,
  uploadImages,
  type WeightSet,
} from '@roentgen/client';
import type { PartName, Stack } from '@roentgen/local-stack';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { expectContinued, expectTidy, inspectionOf, readingOf, waitingIn, type WaitingWork } from '../testkit/faults/chunk-work.js';
import { EVENTUALLY, FaultSystem, signalAll } from '../testkit/faults/fault-system.js';
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

/** A prediction that waits for an image of its last chunk. */
async function predictUntilHeld(): Promise<{ job: Promise<PredictionJob>; waiting: WaitingWork }> {
  const held = system.gate.hold(readingOf(xrays.at(-1)!));
  let id: string | undefined;
  const job = predict(system.client, { modelId, uploadId }, { onProgress: (answer) => (id = answer.id) });
  return { job, waiting: await waitingIn(system, held, job, () => id) };
}

async function killed(...services: Parameters<typeof signalAll>[0][]): Promise<void> {
  for (const service of services) signalAll(service, 'SIGKILL');
  for (const service of services) expect(await service.ended).toBe('ended with SIGKILL');
}

/** Without the worker; another takes its place. */
async function loseWorker({ worker }: WaitingWork): Promise<void> {
  await killed(worker);
  await system.idle((await system.system.addProcess('worker')).name);
}

describe('a prediction says the same of each image, each chunk that was done once', () => {
  test('when its worker is killed while it reads an image', async () => {
    const { job, waiting } = await predictUntilHeld();
    await Promise.all([loseWorker(waiting), job]);
    expect(await csvOf(await job)).toBe(calmCsv);
    await expectContinued(system, waiting, 2);
    await expectTidy(system);
  });

  test('when all coordinators are killed, and it is computed while there is none', async () => {
    const { job, waiting } = await predictUntilHeld();
    const coordinators = system.system.running('coordinator');
    await killed(...coordinators);
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
    await killed(...system.system.running('gateway'));
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

  async function expectComplete(datasetVersionId: string, files: readonly ImportFile[]): Promise<void> {
    const names = (list: readonly { fileName: string; sha256: string }[]) =>
      list.map(({ fileName, sha256 }) => `${fileName} ${sha256}`).sort();
    expect(names(await samples(system.client, datasetVersionId))).toEqual(names(files));
    await expectTidy(system);
  }

  test('when its worker is killed while it inspects one', async () => {
    const files = await newImages(11);
    const held = system.gate.hold(inspectionOf(80));
    const dataset = importDataset(system.client, { name: 'inspected', files, split: SPLIT });
    const waiting = await waitingIn(system, held, dataset, async () => (await held).request.key.split('/')[1]);
    const [{ datasetVersionId, sentCount }] = await Promise.all([dataset, loseWorker(waiting)]);
    expect(sentCount).toBe(files.length);
    await expectContinued(system, waiting, 2);
    await expectComplete(datasetVersionId, files);
  });

  test('when the gateway is killed that makes it a dataset', async () => {
    const files = await newImages(12);
    const held = system.gate.hold({ matches: ({ method, key }) => method === 'PUT' && key.includes('/manifests/'), when: 'after' });
    const dataset = importDataset(system.client, { name: 'finished', files, split: SPLIT });
    await Promise.race([held, dataset]);
    await killed(...system.system.running('gateway'));
    const [{ datasetVersionId, isNew, version }] = await Promise.all([dataset, system.system.addProcess('gateway')]);
    expect({ isNew, version }).toEqual({ isNew: true, version: 1 });
    await expectComplete(datasetVersionId, files);
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
    await Promise.all([set, loseWorker(waiting)]);
    expect(await set).toMatchObject({ status: 'READY', sha256, sourceSha256 });
    expect(requests).toBe(3);
    await expectContinued(system, waiting, 2);
    await expectTidy(system);
  });
});

test('nothing was left behind in the store, and nothing goes that is needed', async () => {
  await expectNoOrphans(system);
});
