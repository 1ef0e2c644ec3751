import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { ChunkStore, WeightSetStore } from '@roentgen/database';
import { idFromUuid, newId, parseId, uuidOf, type ImportedWeights, type WeightSetId } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { makeChestDataset } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;

beforeAll(async () => {
  token = await harness().makeToken('admin');
});

const IMPORT = `mutation ($input: ImportWeightsInput!) {
  importWeights(input: $input) { ok error { code message inputErrors { field } } weightSet { id name status variant url catalogueName finishedAt } }
}`;
const begin = async (input: object, as = token) => at(await harness().ask(as, IMPORT, { input }), 'importWeights');
const chunkOf = async (id: string) => {
  const rows = await harness().database.query('c', 'select id, kind, status from chunks where weight_set_id = $1', [
    uuidOf(parseId('wts', id)),
  ]);
  return { ...(rows[0] as { id: string; kind: string; status: string }), count: rows.length };
};

const WEIGHTS: ImportedWeights = {
  variant: 'B0',
  library: 'keras',
  conventions: {
    padding: 'same',
    batchNormEpsilon: 1e-3,
    batchNormMomentum: 0.99,
    activation: 'silu',
    normalization: { mean: [0.1, 0.2, 0.3], std: [1, 2, 3] },
    interpolation: 'bicubic',
  },
  classes: 1000,
  parameterCount: 5_288_548,
  sha256: 'a'.repeat(64),
  bytes: 21_000_000,
  sourceSha256: 'b'.repeat(64),
};

/** What a coordinator records when a worker has stored the weights. */
async function makeReady(id: string, weights = WEIGHTS): Promise<boolean> {
  const store = new WeightSetStore(harness().database);
  return await harness().database.transaction('ready', (tx) => store.markReady(tx, parseId('wts', id), weights));
}

async function weightsUpload(fileName = 'w.pth', as = token): Promise<string> {
  const created = await harness().ask(as, 'mutation { createUpload(input: { purpose: WEIGHTS }) { upload { id } } }');
  const uploadId = textAt(created, 'createUpload.upload.id');
  const input = { uploadId, files: [{ fileName, bytes: 500_000_000 }] };
  const added = await harness().ask(
    as,
    'mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) { ok files { uploadUrl } } }',
    { input },
  );
  expect(at(added, 'addUploadFiles.files.0.uploadUrl')).toContain(`staging/${uploadId}/0`);
  return uploadId;
}

test('an import is a row and one chunk; the file that was uploaded serves for nothing else', async () => {
  const uploadId = await weightsUpload();
  const begun = await begin({ name: ' mine ', uploadId, idempotencyKey: 'one' });
  expect(begun).toMatchObject({ ok: true, weightSet: { name: 'mine', status: 'IMPORTING', variant: null, finishedAt: null } });
  const id = textAt(begun, 'weightSet.id');
  expect(id).toMatch(/^wts_/);
  expect(await chunkOf(id)).toMatchObject({ kind: 'import-weights', status: 'PENDING', count: 1 });
  expect(at(await begin({ name: ' mine ', uploadId, idempotencyKey: 'one' }), 'weightSet.id')).toBe(id);
  expect((await chunkOf(id)).count).toBe(1);
  expect(await begin({ name: 'again', uploadId })).toMatchObject({
    ok: false,
    error: { code: 'CONFLICT', message: expect.stringContaining('is INSPECTING') },
  });

  expect(await makeReady(id)).toBe(true);
  const upload = await harness().ask(token, `{ upload(id: "${uploadId}") { status purpose verifiedCount pendingCount } }`);
  expect(upload).toEqual({ upload: { status: 'EXPIRED', purpose: 'WEIGHTS', verifiedCount: 1, pendingCount: 0 } });
  const read = await harness().ask(
    token,
    `{ weightSet(id: "${id}") { status variant library classes parameterCount sha256 bytes sourceSha256 errorCode conventions { padding activation batchNormEpsilon interpolation normalization { mean std } } } }`,
  );
  expect(at(read, 'weightSet')).toEqual({
    status: 'READY',
    variant: 'B0',
    library: 'keras',
    classes: 1000,
    parameterCount: 5_288_548,
    sha256: 'a'.repeat(64),
    bytes: 21_000_000,
    sourceSha256: 'b'.repeat(64),
    errorCode: null,
    conventions: {
      padding: 'same',
      activation: 'silu',
      batchNormEpsilon: 0.001,
      interpolation: 'bicubic',
      normalization: { mean: [0.1, 0.2, 0.3], std: [1, 2, 3] },
    },
  });
});

test('the end of an import counts once, and only with the token of its chunk', async () => {
  const { database } = harness();
  const id = textAt(await begin({ name: 'once', catalogueName: 'lite0-imagenet' }), 'weightSet.id');
  const chunks = new ChunkStore(database);
  const chunkId = idFromUuid('chk', (await chunkOf(id)).id);
  const [first, second] = [randomUUID(), randomUUID()];
  expect(await chunks.claim(chunkId, newId('wkr'), first, 60_000)).toMatchObject({
    kind: 'import-weights',
    weightSetId: id,
    uploadId: null,
    jobId: null,
  });
  expect(await chunks.claim(chunkId, newId('wkr'), second, 60_000)).toBeNull();
  expect(await database.transaction('f', (tx) => chunks.finish(tx, chunkId, second, null))).toBeNull();
  expect(await database.transaction('f', (tx) => chunks.finish(tx, chunkId, first, null))).toMatchObject({ weightSetId: id });

  const store = new WeightSetStore(database);
  const fail = () =>
    database.transaction('x', (tx) => store.markFailed(tx, id as WeightSetId, { code: 'WEIGHTS_TRUNCATED', message: 'it ends early' }));
  expect(await fail()).toBe(true);
  expect(await fail()).toBe(false);
  expect(await makeReady(id)).toBe(false);
  expect(await harness().ask(token, `{ weightSet(id: "${id}") { status errorCode errorMessage sha256 } }`)).toEqual({
    weightSet: { status: 'FAILED', errorCode: 'WEIGHTS_TRUNCATED', errorMessage: 'it ends early', sha256: null },
  });
  // A name that failed may be used again, one that has not may not.
  expect(await begin({ name: 'once', url: 'https://example.org/w.pth' })).toMatchObject({
    ok: true,
    weightSet: { url: 'https://example.org/w.pth' },
  });
  expect(await begin({ name: 'once', url: 'https://example.org/w.pth' })).toMatchObject({
    ok: false,
    error: { code: 'CONFLICT', message: expect.stringContaining('There is a weight set "once" in this project already') },
  });
  expect(at(await harness().ask(token, '{ weightSetByName(name: "once") { status } }'), 'weightSetByName.status')).toBe('IMPORTING');
});

test.each([
  [{ name: '', url: 'https://example.org/x' }, 'name'],
  [{ name: 'wts_mine', url: 'https://example.org/x' }, 'name'],
  [{ name: 'x'.repeat(201), url: 'https://example.org/x' }, 'name'],
  [{ name: 'a' }, 'uploadId'],
  [{ name: 'a', uploadId: newId('upl'), url: 'https://example.org/x' }, 'url'],
  [{ name: 'a', url: 'file:///etc/passwd' }, 'url'],
  [{ name: 'a', url: 'https://user:secret@example.org/x' }, 'url'],
  [{ name: 'a', url: 'https://example.org/x', variant: 'B9' }, 'variant'],
  [{ name: 'a', url: 'https://example.org/x', library: 'caffe' }, 'library'],
  [{ name: 'a', url: 'https://example.org/x', sha256: 'abc' }, 'sha256'],
])('%j is refused: %s', async (input, field) => {
  expect(await begin(input)).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT', inputErrors: [{ field }] }, weightSet: null });
});

test('an upload is for images or for one file of weights', async () => {
  const images = textAt(await harness().ask(token, 'mutation { createUpload(input: {}) { upload { id } } }'), 'createUpload.upload.id');
  expect(await begin({ name: 'images', uploadId: images })).toMatchObject({
    error: { code: 'CONFLICT', message: expect.stringContaining('is for IMAGES') },
  });
  expect(await begin({ name: 'none', uploadId: newId('upl') })).toMatchObject({ error: { code: 'NOT_FOUND' } });

  const uploadId = await weightsUpload();
  const complete = await harness().ask(token, `mutation { completeUpload(input: { uploadId: "${uploadId}" }) { ok error { code } } }`);
  expect(complete).toEqual({ completeUpload: { ok: false, error: { code: 'CONFLICT' } } });
  const add = async (upload: string, bytes: number) =>
    at(
      await harness().ask(
        token,
        'mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) { ok error { inputErrors { message } } } }',
        {
          input: { uploadId: upload, files: [{ fileName: `${bytes}.pth`, bytes }] },
        },
      ),
      'addUploadFiles',
    );
  expect(await add(uploadId, 10)).toMatchObject({
    ok: false,
    error: { inputErrors: [{ message: 'an upload of WEIGHTS takes 1 file, not 2' }] },
  });
  expect(await add(images, 500_000_000)).toMatchObject({ error: { inputErrors: [{ message: expect.stringContaining('(64 MiB)') }] } });
  const empty = textAt(
    await harness().ask(token, 'mutation { createUpload(input: { purpose: WEIGHTS }) { upload { id } } }'),
    'createUpload.upload.id',
  );
  expect(await begin({ name: 'empty', uploadId: empty })).toMatchObject({ error: { inputErrors: [{ field: 'uploadId' }] } });
  expect(await add(empty, 2 ** 30 + 1)).toMatchObject({ error: { inputErrors: [{ message: expect.stringContaining('(1 GiB)') }] } });
});

test('sets are read page by page, by everyone in the project and nobody else; importing takes a trainer', async () => {
  const mine = await harness().makeToken('trainer');
  const viewer = await harness().makeToken('viewer', { projectId: mine.projectId });
  const analyst = await harness().makeToken('analyst', { projectId: mine.projectId });
  const names = ['a', 'b', 'c'];
  for (const name of names) expect(await begin({ name, catalogueName: 'lite0-imagenet' }, mine)).toMatchObject({ ok: true });
  const page = async (after: string | null) =>
    at(
      await harness().ask(
        viewer,
        'query ($after: String) { weightSets(first: 2, after: $after) { totalCount nodes { id name } pageInfo { hasNextPage endCursor } } }',
        {
          after,
        },
      ),
      'weightSets',
    );
  const first = await page(null);
  expect(first).toMatchObject({ totalCount: 3, nodes: [{ name: 'c' }, { name: 'b' }], pageInfo: { hasNextPage: true } });
  expect(await page(textAt(first, 'pageInfo.endCursor'))).toMatchObject({ nodes: [{ name: 'a' }], pageInfo: { hasNextPage: false } });

  const foreign = await harness().raw(token, `{ weightSet(id: "${textAt(first, 'nodes.0.id')}") { id } }`);
  expect(at(foreign.body, 'errors.0.extensions.code')).toBe('NOT_FOUND');
  const refused = await harness().raw(analyst, IMPORT, { input: { name: 'x', catalogueName: 'lite0-imagenet' } });
  expect(at(refused.body, 'errors.0.extensions.code')).toBe('FORBIDDEN');
});

test('a run starts from weights of its project that are ready and of its variant, and keeps them by id', async () => {
  const trainer = await harness().makeToken('admin');
  const datasetVersionId = await makeChestDataset(harness(), trainer);
  const id = textAt(await begin({ name: 'b0', catalogueName: 'b0-keras' }, trainer), 'weightSet.id');
  const start = async (recipe: object) =>
    at(
      await harness().ask(
        trainer,
        'mutation ($input: StartTrainingRunInput!) { startTrainingRun(input: $input) { ok error { code message inputErrors { field } } run { id recipe { initialWeights } } } }',
        { input: { datasetVersionId, recipe: { microBatchSize: 2, globalBatchSize: 2, ...recipe } } },
      ),
      'startTrainingRun',
    );
  expect(await start({ initialWeights: 'b0' })).toMatchObject({
    error: { code: 'CONFLICT', message: expect.stringContaining('"b0" is IMPORTING') },
  });
  await makeReady(id);
  const started = await start({ initialWeights: 'b0' });
  expect(started).toMatchObject({ ok: true, run: { recipe: { initialWeights: id } } });
  expect(await start({ initialWeights: id })).toMatchObject({ ok: true, run: { recipe: { initialWeights: id } } });
  expect(await start({})).toMatchObject({ ok: true, run: { recipe: { initialWeights: null } } });
  expect(await start({ initialWeights: 'b0', variant: 'b1' })).toMatchObject({
    error: { code: 'INVALID_RECIPE', inputErrors: [{ field: 'recipe.initialWeights' }] },
  });
  for (const initialWeights of ['nobody', newId('wts')])
    expect(await start({ initialWeights })).toMatchObject({ error: { code: 'NOT_FOUND' } });
  const [row] = await harness().database.query('r', 'select initial_weights_id from training_runs where id = $1', [
    uuidOf(parseId('run', textAt(started, 'run.id'))),
  ]);
  expect(row).toEqual({ initial_weights_id: uuidOf(parseId('wts', id)) });
});
