import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { silentLogger } from '@roentgen/logger';
import type { ImportWeightsChunkWork } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import { encodeSafetensors, viewEntry } from '@roentgen/tensorflow';
import { decodeWeights } from '@roentgen/weights';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { MemoryStore } from '../testing/memory-store.js';
import { readWeightsInProcess } from '../weights/import-process.js';
import { WeightsImporter } from './weights-importer.js';

const GIB = 2 ** 30;
const store = new MemoryStore();
const scratch = mkdtempSync(join(tmpdir(), 'roentgen-test-'));
const options = {
  store,
  logger: silentLogger,
  privateAddresses: false,
  memoryBytes: 3 * GIB,
  environment: {},
  fetchEnvironment: {},
  scratch,
};
const importer = (memoryBytes = 3 * GIB) => new WeightsImporter({ ...options, memoryBytes });
const projectId = newId('prj');

afterEach(() => {
  store.objects.clear();
  // Nothing of an import is left on the disk, however it ended.
  expect(readdirSync(scratch)).toEqual([]);
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** Each import starts a process. */
const TIMEOUT_MS = 60_000;

/** A B0 in Keras' names. */
function goodFile(): Uint8Array {
  const spec = efficientNetSpec('B0', 3);
  const { weights, statistics } = initializeModel(spec, 1);
  return encodeSafetensors(
    [
      ...spec.parameters.entries.map((entry) => ({ ...entry, data: viewEntry(weights, entry) })),
      ...spec.statistics.entries.map((entry) => ({ ...entry, data: viewEntry(statistics, entry) })),
    ],
    {},
  );
}

async function uploaded(bytes: Uint8Array, change: Partial<ImportWeightsChunkWork> = {}): Promise<ImportWeightsChunkWork> {
  const stagingKey = objectKeys.staging(newId('upl'), 0);
  await store.put(stagingKey, bytes);
  return {
    kind: 'import-weights',
    projectId,
    weightSetId: newId('wts'),
    from: { kind: 'upload', stagingKey, declaredBytes: bytes.length },
    catalogueName: null,
    variant: null,
    library: null,
    sha256: null,
    ...change,
  };
}

test(
  'an uploaded file is kept as our own, named by its content',
  async () => {
    const outcome = await importer().import(await uploaded(goodFile()));
    if (outcome.kind !== 'weights-imported') throw new Error(JSON.stringify(outcome));
    const { sha256, variant, classes } = outcome.weights;
    expect({ variant, classes }).toEqual({ variant: 'B0', classes: 3 });
    const kept = await store.get(`projects/${projectId}/weights/${sha256}.safetensors`);
    expect(createHash('sha256').update(kept).digest('hex')).toBe(sha256);
    expect(decodeWeights(kept).description.variant).toBe('B0');
  },
  TIMEOUT_MS,
);

test(
  'a file that is not there, of another size or of another digest is an answer',
  async () => {
    const work = await uploaded(Buffer.from('not weights'));
    const of = (change: Partial<ImportWeightsChunkWork>) => importer().import({ ...work, ...change });
    const from = (change: object) => of({ from: { kind: 'upload', stagingKey: 'staging/none/0', declaredBytes: 11, ...change } });
    expect(await from({})).toMatchObject({ kind: 'failed', code: 'NOT_UPLOADED', retryable: false });
    const { stagingKey } = work.from as { stagingKey: string };
    expect(await from({ stagingKey, declaredBytes: 12 })).toMatchObject({ code: 'SIZE_MISMATCH', retryable: false });
    expect(await of({ sha256: 'a'.repeat(64) })).toMatchObject({ kind: 'failed', code: 'WEIGHTS_DIGEST', retryable: false });
    expect(await of({})).toMatchObject({ kind: 'failed', code: 'WEIGHTS_UNKNOWN_FORMAT' });
    expect([...store.objects.keys()]).toEqual([stagingKey]);
  },
  TIMEOUT_MS,
);

/** The file that is downloaded is one that takes no byte: the kernel answers each write with ENOSPC. */
class StoreBesideFullDisk extends MemoryStore {
  downloads = 0;
  override async stream(key: string) {
    this.downloads++;
    for (const folder of readdirSync(scratch)) symlinkSync('/dev/full', join(scratch, folder, 'file'));
    return await super.stream(key);
  }
}

test('a disk of the worker that is full is told as that, and is no outage of the store', async () => {
  const full = new StoreBesideFullDisk();
  const work = await uploaded(goodFile());
  for (const [key, bytes] of store.objects) await full.put(key, bytes);
  const started = new WeightsImporter({ ...options, store: full });
  await expect(started.import(work)).rejects.toMatchObject({
    code: 'LOCAL_DISK',
    message: expect.stringMatching(/ENOSPC.*TMPDIR/s),
    details: { folder: scratch, code: 'ENOSPC' },
  });
  expect(full.downloads).toBe(1);
});

test('a folder for files under way that is not there is told, too', async () => {
  const nowhere = new WeightsImporter({ ...options, scratch: join(scratch, 'none') });
  await expect(nowhere.import(await uploaded(goodFile()))).rejects.toMatchObject({ code: 'LOCAL_DISK', details: { code: 'ENOENT' } });
});

test('private addresses are not fetched from', async () => {
  const work = await uploaded(Buffer.from(''));
  expect(await importer().import({ ...work, from: { kind: 'url', url: 'http://127.0.0.1:9/weights.pth' } })).toMatchObject({
    kind: 'failed',
    code: 'WEIGHTS_FETCH',
    message: expect.stringContaining('only public addresses are fetched from'),
  });
  expect(await importer().import({ ...work, from: { kind: 'catalogue' }, catalogueName: 'nobody' })).toMatchObject({
    code: 'WEIGHTS_UNKNOWN_NAME',
  });
});

test('nothing is fetched for a request that cannot be met', async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end('weights');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const from = { kind: 'url', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/w.pth` } as const;
  const work = await uploaded(Buffer.from(''));
  const options = {
    store,
    logger: silentLogger,
    privateAddresses: true,
    memoryBytes: 3 * GIB,
    environment: {},
    fetchEnvironment: {},
    scratch,
  };
  const of = (change: Partial<ImportWeightsChunkWork>) => new WeightsImporter(options).import({ ...work, from, ...change });
  try {
    expect(await of({ catalogueName: 'nobody' })).toMatchObject({ kind: 'failed', code: 'WEIGHTS_UNKNOWN_NAME', retryable: false });
    expect(await of({ catalogueName: 'b0-keras', variant: 'B1' })).toMatchObject({ code: 'WEIGHTS_MISMATCH' });
    expect(await of({ catalogueName: 'b0-keras', library: 'timm' })).toMatchObject({ code: 'WEIGHTS_MISMATCH' });
    expect(await of({ from: { ...from, url: `${from.url}/%zz` } })).toMatchObject({ code: 'WEIGHTS_FETCH' });
    expect(asked).toEqual([]);
    expect(await of({})).toMatchObject({ code: 'WEIGHTS_UNKNOWN_FORMAT' });
    expect(asked).toEqual(['/w.pth']);
  } finally {
    server.close();
  }
});

test(
  'a file that takes more memory than it may is refused, and takes no more',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'roentgen-memory-'));
    try {
      const file = join(folder, 'large');
      writeFileSync(file, encodeSafetensors([{ name: 'stem_conv/kernel', shape: [2 ** 26], data: new Float32Array(2 ** 26) }], {}));
      const task = { file, target: join(folder, 'out'), variant: null, library: null, catalogueName: null, sha256: null };
      const answer = await readWeightsInProcess(task, { memoryBytes: GIB / 2, environment: {}, timeoutMs: 60_000 });
      expect(answer).toMatchObject({ ok: false, code: 'WEIGHTS_LIMIT' });
      const killed = await readWeightsInProcess(task, { memoryBytes: GIB / 2, environment: {}, timeoutMs: 1 });
      expect(killed).toMatchObject({ ok: false, code: 'WEIGHTS_LIMIT', message: expect.stringContaining('longer than 0.001 s') });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test(
  'the process that reads a file inherits what it is given, and none of this one’s secrets',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'roentgen-environment-'));
    vi.stubEnv('S3_SECRET_KEY', 'secret');
    try {
      const [file, seen, tell] = [join(folder, 'file'), join(folder, 'seen.json'), join(folder, 'tell.mjs')];
      writeFileSync(file, 'not weights');
      writeFileSync(tell, `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.env));`);
      const task = { file, target: join(folder, 'out'), variant: null, library: null, catalogueName: null, sha256: null };
      const environment = { LD_LIBRARY_PATH: '/bundle/lib', NODE_OPTIONS: `--import=${tell}` };
      const answer = await readWeightsInProcess(task, { memoryBytes: 3 * GIB, environment, timeoutMs: 60_000 });
      expect(answer).toMatchObject({ ok: false, code: 'WEIGHTS_UNKNOWN_FORMAT' });
      // The shell adds where it stands; PWD, OLDPWD, SHLVL and _ are its own.
      const inherited = Object.entries(JSON.parse(readFileSync(seen, 'utf8'))).filter(([name]) => !/^(OLD)?PWD$|^SHLVL$|^_$/.test(name));
      expect(Object.fromEntries(inherited)).toEqual(environment);
    } finally {
      vi.unstubAllEnvs();
      rmSync(folder, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test(
  'a file with thousands of long names is refused in a message that fits where it goes',
  async () => {
    const names = Array.from({ length: 19_000 }, (_, i) => `${i}-${'x'.repeat(700)}`);
    const strange = encodeSafetensors(
      ['stem_conv/kernel', ...names].map((name) => ({ name, shape: [1], data: new Float32Array(1) })),
      {},
    );
    const outcome = await importer().import(await uploaded(strange));
    if (outcome.kind !== 'failed') throw new Error('it was taken');
    expect(outcome.code).toBe('WEIGHTS_MISMATCH');
    expect(outcome.message.length).toBeLessThan(64 * 1024);
    expect(outcome.message).toContain('19000 tensors unexpected (0-xxx');
  },
  TIMEOUT_MS,
);
