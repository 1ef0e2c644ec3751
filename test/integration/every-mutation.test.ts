import { beforeAll, expect, test } from 'vitest';
import { newId, uuidOf } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { CHEST_FILES, finishRun, makeChestDataset, startRun } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
});

interface Repeatable {
  /** What the answer is about, and where its id is. */
  readonly object: string;
  /** Two inputs that differ; both are valid by themselves. */
  readonly inputs: () => Promise<readonly [object, object]>;
}

const makeUpload = async (files = 0): Promise<string> => {
  const id = textAt(await harness().ask(token, 'mutation { createUpload(input: {}) { upload { id } } }'), 'createUpload.upload.id');
  const add = 'mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) { ok } }';
  const named = Array.from({ length: files }, (_, i) => ({ fileName: `${i}.png`, bytes: 5 }));
  if (files > 0) await harness().ask(token, add, { input: { uploadId: id, files: named } });
  return id;
};
const makeRun = () => startRun(harness(), token, versionId);
const makeWorker = async (): Promise<string> => {
  const id = newId('wkr');
  await harness().database.query(
    'seed',
    `insert into workers (id, name, version, device, device_name, state, resident_bytes, started_at, last_seen_at)
     values ($1, $2, '1', 'cpu', 'none', 'IDLE', 0, now(), now())`,
    [uuidOf(id), id],
  );
  return id;
};
const makeToken = async (): Promise<string> => {
  const made = await harness().ask(token, 'mutation { createApiToken(input: { name: "t", role: VIEWER }) { apiToken { id } } }');
  return textAt(made, 'createApiToken.apiToken.id');
};
const two = async <T>(make: () => Promise<T>): Promise<[T, T]> => [await make(), await make()];
const aboutRuns = async (): Promise<[object, object]> => {
  const [a, b] = await two(makeRun);
  return [{ runId: a }, { runId: b }];
};
const aboutWorkers = async (): Promise<[object, object]> => {
  const [a, b] = await two(makeWorker);
  return [{ workerId: a }, { workerId: b }];
};

const MUTATIONS: Readonly<Record<string, Repeatable>> = {
  createUpload: { object: 'upload', inputs: () => Promise.resolve([{ purpose: 'IMAGES' }, { purpose: 'WEIGHTS' }]) },
  addUploadFiles: {
    object: 'upload',
    inputs: async () => {
      const uploadId = await makeUpload();
      return [
        { uploadId, files: [{ fileName: 'a.png', bytes: 5 }] },
        { uploadId, files: [{ fileName: 'b.png', bytes: 5 }] },
      ];
    },
  },
  completeUpload: {
    object: 'upload',
    inputs: async () => {
      const [a, b] = await two(() => makeUpload(1));
      return [{ uploadId: a }, { uploadId: b }];
    },
  },
  finalizeDataset: {
    object: 'datasetVersion',
    inputs: async () => {
      const uploadId = await harness().makeReadyUpload(token, CHEST_FILES);
      return [
        { uploadId, datasetName: 'one' },
        { uploadId, datasetName: 'other' },
      ];
    },
  },
  importWeights: {
    object: 'weightSet',
    inputs: () =>
      Promise.resolve([
        { name: 'one', catalogueName: 'lite0-imagenet' },
        { name: 'other', catalogueName: 'lite0-imagenet' },
      ]),
  },
  startTrainingRun: {
    object: 'run',
    inputs: () =>
      Promise.resolve([
        { datasetVersionId: versionId, recipe: { seed: 1 } },
        { datasetVersionId: versionId, recipe: { seed: 2 } },
      ]),
  },
  forkTrainingRun: {
    object: 'run',
    inputs: async () => {
      const { runId } = await finishRun(harness(), token, versionId);
      return [
        { runId, overrides: { epochs: 200 } },
        { runId, overrides: { epochs: 201 } },
      ];
    },
  },
  cancelTrainingRun: { object: 'run', inputs: aboutRuns },
  pauseTrainingRun: { object: 'run', inputs: aboutRuns },
  resumeTrainingRun: { object: 'run', inputs: aboutRuns },
  startPrediction: {
    object: 'job',
    inputs: async () => {
      const { modelId } = await finishRun(harness(), token, versionId);
      return [
        { modelId, datasetVersionId: versionId, split: 'VAL' },
        { modelId, datasetVersionId: versionId, split: 'TEST' },
      ];
    },
  },
  runJanitor: { object: 'pass', inputs: () => Promise.resolve([{ delete: false }, { delete: true }]) },
  drainWorker: { object: 'worker', inputs: aboutWorkers },
  readmitWorker: { object: 'worker', inputs: aboutWorkers },
  createApiToken: {
    object: 'apiToken',
    inputs: () =>
      Promise.resolve([
        { name: 'a', role: 'VIEWER' },
        { name: 'a', role: 'ADMIN' },
      ]),
  },
  revokeApiToken: {
    object: 'apiToken',
    inputs: async () => {
      const [a, b] = await two(makeToken);
      return [{ tokenId: a }, { tokenId: b }];
    },
  },
};

test('every mutation takes one input with an idempotency key, and is tried here', async () => {
  const { body } = await harness().raw(
    token,
    '{ __schema { mutationType { fields { name args { name type { kind ofType { inputFields { name type { kind name } } } } } } } } }',
  );
  const fields = at(body.data, '__schema.mutationType.fields');
  const mutations = Array.isArray(fields) ? fields : [];
  expect(mutations.map((field: unknown) => textAt(field, 'name')).sort()).toEqual(Object.keys(MUTATIONS).sort());
  for (const field of mutations) {
    expect(at(field, 'args'), textAt(field, 'name')).toMatchObject([{ name: 'input', type: { kind: 'NON_NULL' } }]);
    expect(at(field, 'args.0.type.ofType.inputFields'), textAt(field, 'name')).toContainEqual({
      name: 'idempotencyKey',
      type: { kind: 'SCALAR', name: 'String' },
    });
  }
});

const typeOf = (name: string) => `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}Input`;

async function ask(name: string, input: object): Promise<unknown> {
  const { object } = MUTATIONS[name] ?? { object: '' };
  const mutation = `mutation ($input: ${typeOf(name)}!) { ${name}(input: $input) { ok error { code message } ${object} { id } } }`;
  return at(await harness().ask(token, mutation, { input }), name);
}

test.each(Object.keys(MUTATIONS))(
  '%s: the same key with the same input gives the first answer, with another input or command an error',
  async (name) => {
    const [one, other] = (await MUTATIONS[name]?.inputs()) ?? [{}, {}];
    const idempotencyKey = `key of ${name}`;
    const first = await ask(name, { ...one, idempotencyKey });
    expect(first).toMatchObject({ ok: true });
    expect(await ask(name, { ...one, idempotencyKey })).toEqual(first);
    const used = {
      ok: false,
      error: { code: 'CONFLICT', message: expect.stringContaining(`"${idempotencyKey}" was used for another request`) },
    };
    expect(await ask(name, { ...other, idempotencyKey })).toMatchObject(used);
    const elsewhere = name === 'createUpload' ? 'createApiToken' : 'createUpload';
    const foreign = elsewhere === 'createUpload' ? {} : { name: 'x', role: 'VIEWER' };
    expect(await ask(elsewhere, { ...foreign, idempotencyKey })).toMatchObject(used);
    // The key is what was wrong with it.
    expect(await ask(name, { ...other, idempotencyKey: `another ${idempotencyKey}` })).toMatchObject({ ok: true });
  },
);

test('the first answer is given also when what was asked for could not be done any more', async () => {
  const { database } = harness();
  const { modelId } = await finishRun(harness(), token, versionId);
  const uploadId = await harness().makeReadyUpload(token, CHEST_FILES);
  const run = { datasetVersionId: versionId, idempotencyKey: 'a run before' };
  const prediction = { modelId, uploadId, idempotencyKey: 'a prediction before' };
  const files = { uploadId: await makeUpload(), files: [{ fileName: 'a.png', bytes: 5 }], idempotencyKey: 'files before' };
  const first = [await ask('startTrainingRun', run), await ask('startPrediction', prediction), await ask('addUploadFiles', files)];
  expect(first).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);

  await ask('completeUpload', { uploadId: files.uploadId });
  await database.query('seed', `update uploads set status = 'EXPIRED' where id = $1`, [uuidOf(`upl_${uploadId.slice(4)}`)]);
  await database.query('seed', 'update workers set memory_budget_bytes = 1, last_seen_at = now()');
  const later = { idempotencyKey: null };
  expect(await ask('startTrainingRun', { ...run, ...later })).toMatchObject({ ok: false });
  expect(await ask('startPrediction', { ...prediction, ...later })).toMatchObject({ ok: false });
  expect(await ask('addUploadFiles', { ...files, ...later })).toMatchObject({ ok: false });
  expect([await ask('startTrainingRun', run), await ask('startPrediction', prediction), await ask('addUploadFiles', files)]).toEqual(first);
});
