import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { ChunkStore, ChunkWorkStore, WorkerPresenceStore } from '@roentgen/database';
import { idFromUuid, newId, parseId, uuidOf } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { finishRun, makeChestDataset } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
});

const finishedRun = () => finishRun(harness(), token, versionId);

test('a result of a chunk counts only when it has each image once and each class; a failed job begins nothing more', async () => {
  const { modelId } = await finishedRun();
  const start = `mutation { startPrediction(input: { modelId: "${modelId}" datasetVersionId: "${versionId}" split: VAL }) { job { id imageCount } } }`;
  const job = at(await harness().ask(token, start), 'startPrediction.job');
  const jobId = parseId('pred', textAt(job, 'id'));
  const { database } = harness();
  const [chunks, work] = [new ChunkStore(database), new ChunkWorkStore(database)];
  const rows = () =>
    database.query('read', 'select id, status from chunks where job_id = $1', [uuidOf(jobId)]) as Promise<{ id: string }[]>;
  const chunkId = idFromUuid('chk', (await rows())[0]?.id ?? '');
  const firstToken = randomUUID();
  const chunk = await chunks.claim(chunkId, newId('wkr'), firstToken, 60_000);
  if (chunk === null) throw new Error('the chunk is not there to claim');

  const images = Array.from({ length: Number(at(job, 'imageCount')) }, (_, ordinal) => ({ ordinal, probabilities: [0.25, 0.75] }));
  const apply = (of: typeof images) => database.transaction('apply', (tx) => work.applyPredictions(tx, chunk, of, 'onnxruntime 1.30.0'));
  const [first] = images;
  expect(await apply(images.slice(1))).toBe(false);
  expect(await apply([...images.slice(1), { ...first!, ordinal: images.length }])).toBe(false);
  expect(await apply(images.map((image) => ({ ...image, probabilities: [0.2, 0.3, 0.5] })))).toBe(false);
  expect(await apply(images)).toBe(true);
  const answer = await harness().ask(
    token,
    `{ predictions(jobId: "${jobId}") { nodes { predictedLabel probabilities { probability } } } }`,
  );
  expect(at(answer, 'predictions.nodes.0')).toEqual({
    predictedLabel: 'pneumonia',
    probabilities: [{ probability: 0.25 }, { probability: 0.75 }],
  });

  expect(at(await harness().ask(token, `{ predictionJob(id: "${jobId}") { engines } }`), 'predictionJob.engines')).toEqual([
    'onnxruntime 1.30.0',
  ]);

  await chunks.giveBack(chunkId, firstToken, 3);
  await database.transaction('fail', (tx) => work.failJob(tx, jobId, { code: 'X', message: 'y' }));
  expect(await rows()).toMatchObject([{ status: 'FAILED' }]);
});

test('the files of a model are there for whoever may predict with it', async () => {
  const { modelId } = await finishedRun();
  const query = `{ model(id: "${modelId}") { files { tensorsUrl descriptionUrl } } }`;
  const { store } = harness();
  await store.put('k.safetensors', Buffer.from('tensors'), 'application/octet-stream');
  await store.put('k.json', Buffer.from('{"a":1}'), 'application/json');
  const files = at(await harness().ask(await harness().makeToken('analyst', { projectId: token.projectId }), query), 'model.files');
  expect(await (await fetch(textAt(files, 'tensorsUrl'))).text()).toBe('tensors');
  expect(await (await fetch(textAt(files, 'descriptionUrl'))).json()).toEqual({ a: 1 });
  await expect(harness().ask(await harness().makeToken('viewer', { projectId: token.projectId }), query)).rejects.toThrow(
    'model:export takes analyst',
  );
});

test('predictions of a split: one row per image, chunks for the workers, the file when they are done', async () => {
  const { modelId } = await finishedRun();
  const begin = async (input: string) =>
    at(
      await harness().ask(
        token,
        `mutation { startPrediction(input: { modelId: "${modelId}" ${input} }) { ok error { code message } job { id status imageCount doneCount csvUrl split } } }`,
      ),
      'startPrediction',
    );
  const job = await begin(`datasetVersionId: "${versionId}" split: VAL`);
  const imageCount = Number(at(job, 'job.imageCount'));
  expect(job).toMatchObject({ ok: true, job: { status: 'QUEUED', doneCount: 0, csvUrl: null, split: 'VAL' } });
  expect(imageCount).toBeGreaterThan(0);
  const jobId = textAt(job, 'job.id');
  const predictions = `{ predictions(jobId: "${jobId}") { totalCount nodes { ordinal fileName label predictedLabel probabilities { label probability } } } }`;
  const rows = at(await harness().ask(token, predictions), 'predictions');
  expect(at(rows, 'nodes')).toHaveLength(imageCount);
  expect(at(rows, 'nodes.0')).toMatchObject({ ordinal: 0, predictedLabel: null, probabilities: [] });
  expect(
    await harness().database.query('chunks', 'select kind, first_ordinal, last_ordinal from chunks where job_id = $1', [jobId.slice(5)]),
  ).toEqual([{ kind: 'predict', first_ordinal: 0, last_ordinal: imageCount - 1 }]);

  await harness().store.put('result.csv', Buffer.from('File,Label\n'), 'text/csv');
  await harness().database.query(
    'p',
    `update predictions set predicted_label = 'normal', probabilities = '{0.75,0.25}', predicted_at = now() where job_id = $1`,
    [jobId.slice(5)],
  );
  await harness().database.query(
    'j',
    `update prediction_jobs set status = 'SUCCEEDED', csv_key = 'result.csv', finished_at = now() where id = $1`,
    [jobId.slice(5)],
  );
  expect(at(await harness().ask(token, predictions), 'predictions.nodes.0')).toMatchObject({
    predictedLabel: 'normal',
    probabilities: [
      { label: 'normal', probability: 0.75 },
      { label: 'pneumonia', probability: 0.25 },
    ],
  });
  const done = at(
    await harness().ask(token, `{ predictionJob(id: "${jobId}") { status doneCount csvUrl model { id } } }`),
    'predictionJob',
  );
  expect(done).toMatchObject({ status: 'SUCCEEDED', doneCount: imageCount, model: { id: modelId } });
  expect(await (await fetch(textAt(done, 'csvUrl'))).text()).toBe('File,Label\n');

  const uploadId = await harness().makeReadyUpload(token, [
    { fileName: 'new-2.png' },
    { fileName: 'new-1.png' },
    { fileName: 'bad.png', rejected: true },
  ]);
  const uploaded = await begin(`uploadId: "${uploadId}"`);
  expect(uploaded).toMatchObject({ ok: true, job: { imageCount: 2, split: null } });
  expect(
    at(
      await harness().ask(token, `{ predictions(jobId: "${textAt(uploaded, 'job.id')}") { nodes { fileName label } } }`),
      'predictions.nodes',
    ),
  ).toEqual([
    { fileName: 'new-1.png', label: null },
    { fileName: 'new-2.png', label: null },
  ]);
  expect(await begin('')).toMatchObject({
    ok: false,
    error: { code: 'INVALID_INPUT', message: expect.stringContaining('either datasetVersionId together with split, or uploadId') },
  });
  expect(await begin(`uploadId: "${uploadId}" split: VAL`)).toMatchObject({ ok: false });
  expect(await begin(`uploadId: "${newId('upl')}"`)).toMatchObject({ error: { code: 'NOT_FOUND' } });
});

test('runs, models and jobs of another project are not found, and a worker’s run is told only to its own project', async () => {
  const { runId, modelId } = await finishedRun();
  const job = await harness().ask(
    token,
    `mutation { startPrediction(input: { modelId: "${modelId}", datasetVersionId: "${versionId}", split: VAL }) { job { id } } }`,
  );
  const jobId = textAt(job, 'startPrediction.job.id');
  const stranger = await harness().makeToken('admin');
  for (const query of [
    `{ trainingRun(id: "${runId}") { id } }`,
    `{ trainingRunEvents(runId: "${runId}") { kind } }`,
    `{ metricSeries(runId: "${runId}") { value } }`,
    `{ model(id: "${modelId}") { id } }`,
    `{ predictionJob(id: "${jobId}") { id } }`,
    `{ predictions(jobId: "${jobId}") { totalCount } }`,
  ]) {
    expect(at((await harness().raw(stranger, query)).body, 'errors.0.extensions.code'), query).toBe('NOT_FOUND');
  }
  for (const mutation of [
    `cancelTrainingRun(input: { runId: "${runId}" })`,
    `startPrediction(input: { modelId: "${modelId}", datasetVersionId: "${versionId}", split: VAL })`,
  ]) {
    expect(JSON.stringify(await harness().ask(stranger, `mutation { m: ${mutation} { ok error { code } } }`))).toBe(
      '{"m":{"ok":false,"error":{"code":"NOT_FOUND"}}}',
    );
  }
  expect(
    await harness().ask(stranger, '{ trainingRuns { totalCount nodes { id } } models { totalCount } predictionJobs { totalCount } }'),
  ).toEqual({
    trainingRuns: { totalCount: 0, nodes: [] },
    models: { totalCount: 0 },
    predictionJobs: { totalCount: 0 },
  });

  const startedAt = new Date().toISOString();
  const worker = {
    workerId: newId('wkr'),
    name: 'w1',
    version: '0.1.0',
    device: 'cuda',
    deviceName: 'GPU',
    state: 'TRAINING',
    runId,
    residentBytes: 5_000_000_000,
    runtime: null,
    startedAt,
    silentMs: 0,
  } as const;
  await new WorkerPresenceStore(harness().database).upsert([worker]);
  const workers = '{ workers { totalCount nodes { name device state online runId residentBytes } } }';
  expect(at(await harness().ask(token, workers), 'workers')).toEqual({
    totalCount: 1,
    nodes: [{ name: 'w1', device: 'CUDA', state: 'TRAINING', online: true, runId, residentBytes: 5_000_000_000 }],
  });
  expect(at(await harness().ask(stranger, workers), 'workers.nodes.0.runId')).toBeNull();
});
