import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseManifest } from '@roentgen/datasets';
import { patientsInSeveralSplits } from '../testkit/leaks.js';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { CHEST_FILES } from './gateway-scenes.js';

const harness = useGateway();

const FINALIZE = `mutation ($input: FinalizeDatasetInput!) { finalizeDataset(input: $input) {
  ok created error { code message inputErrors { field message } } datasetVersion { id version sampleCount patientCount classes manifestSha256 dataset { id name } splits { split label sampleCount patientCount } } } }`;
const ADD = `mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) {
  ok error { code message inputErrors { field message } } files { ordinal fileName alreadyStored uploadUrl } upload { id status fileCount pendingCount verifiedCount } } }`;

const newUpload = async (token: TestToken) =>
  textAt(await harness().ask(token, 'mutation { createUpload(input: {}) { upload { id } } }'), 'createUpload.upload.id');

async function finalize(token: TestToken, input: object): Promise<unknown> {
  return at(await harness().ask(token, FINALIZE, { input }), 'finalizeDataset');
}

test('a folder becomes a dataset version: sent to the store, inspected, split by patient, frozen', async () => {
  const token = await harness().makeToken('trainer');
  const uploadId = await newUpload(token);
  const added = at(
    await harness().ask(token, ADD, { input: { uploadId, files: CHEST_FILES.map((file) => ({ bytes: 100, ...file })) } }),
    'addUploadFiles',
  );
  expect(added).toMatchObject({ ok: true, error: null, upload: { status: 'OPEN', fileCount: 40, pendingCount: 40 } });
  expect(at(added, 'files.39')).toMatchObject({ ordinal: 39, fileName: 'img-39.png', alreadyStored: false });

  const bytes = Buffer.from('bytes that never pass the gateway');
  const sent = await fetch(textAt(added, 'files.3.uploadUrl'), { method: 'PUT', body: bytes });
  expect(sent.status).toBe(200);
  expect((await harness().store.get(`staging/${uploadId}/3`)).equals(bytes)).toBe(true);

  const complete = `mutation { completeUpload(input: { uploadId: "${uploadId}" }) { ok upload { status completedAt } } }`;
  expect(await harness().ask(token, complete)).toMatchObject({ completeUpload: { ok: true, upload: { status: 'INSPECTING' } } });
  // Again: nothing new.
  expect(await harness().ask(token, complete)).toMatchObject({ completeUpload: { ok: true, upload: { status: 'INSPECTING' } } });
  const chunks = await harness().database.query(
    'chunks',
    'select first_ordinal, last_ordinal from chunks where upload_id = $1 order by first_ordinal',
    [uploadId.slice(4)],
  );
  expect(chunks).toEqual([
    { first_ordinal: 0, last_ordinal: 31 },
    { first_ordinal: 32, last_ordinal: 39 },
  ]);
  expect(await finalize(token, { uploadId, datasetName: 'early' })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
  await harness().inspect(token.projectId, uploadId);

  const made = await finalize(token, { uploadId, datasetName: ' chest ', splitSeed: 7 });
  expect(made).toMatchObject({
    ok: true,
    created: true,
    datasetVersion: { version: 1, sampleCount: 40, patientCount: 20, classes: ['normal', 'pneumonia'], dataset: { name: 'chest' } },
  });

  const versionId = textAt(made, 'datasetVersion.id');
  const query = `query ($after: String) { samples(datasetVersionId: "${versionId}", first: 15, after: $after) { totalCount nodes { fileName label patient split sha256 } edges { cursor } pageInfo { hasNextPage endCursor } } }`;
  const samples: { fileName: string; label: string; patient: string; split: string }[] = [];
  for (let after: string | null = null, more = true; more;) {
    const page = at(await harness().ask(token, query, { after }), 'samples');
    samples.push(...(at(page, 'nodes') as typeof samples));
    expect(at(page, 'totalCount')).toBe(40);
    more = at(page, 'pageInfo.hasNextPage') === true;
    after = textAt(page, 'pageInfo.endCursor');
  }
  expect(samples.map((sample) => sample.fileName)).toEqual(CHEST_FILES.map((file) => file.fileName));
  expect(patientsInSeveralSplits(samples)).toEqual([]);
  const manifestSha256 = textAt(made, 'datasetVersion.manifestSha256');
  const manifest = parseManifest(
    await harness().store.get(`projects/${token.projectId}/manifests/${manifestSha256}.jsonl`),
    manifestSha256,
  );
  expect(manifest.map((entry) => [entry.fileName, entry.split.toUpperCase()])).toEqual(
    samples.map((sample) => [sample.fileName, sample.split]),
  );
  const counts = at(made, 'datasetVersion.splits') as { split: string; label: string; sampleCount: number }[];
  expect(counts.map(({ split, label }) => `${split} ${label}`)).toEqual([
    'TRAIN normal',
    'TRAIN pneumonia',
    'VAL normal',
    'VAL pneumonia',
    'TEST normal',
    'TEST pneumonia',
  ]);
  expect(counts.reduce((sum, row) => sum + row.sampleCount, 0)).toBe(40);
});

test('the same files and seed are the same version; another seed is the next one', async () => {
  const token = await harness().makeToken('trainer');
  const uploadId = await harness().makeReadyUpload(token, CHEST_FILES);
  const again = await harness().makeReadyUpload(token, CHEST_FILES);
  const first = await finalize(token, { uploadId, datasetName: 'd', splitSeed: 1 });
  const same = await finalize(token, { uploadId: again, datasetName: 'd', splitSeed: 1 });
  expect(same).toMatchObject({ ok: true, created: false });
  expect(textAt(same, 'datasetVersion.id')).toBe(textAt(first, 'datasetVersion.id'));
  expect(await finalize(token, { uploadId, datasetName: 'd', splitSeed: 2 })).toMatchObject({
    created: true,
    datasetVersion: { version: 2 },
  });

  const listed = await harness().ask(
    token,
    '{ datasetByName(name: "d") { latestVersion { version } } datasets { totalCount nodes { name latestVersion { version } } } }',
  );
  expect(listed).toEqual({
    datasetByName: { latestVersion: { version: 2 } },
    datasets: { totalCount: 1, nodes: [{ name: 'd', latestVersion: { version: 2 } }] },
  });
  const datasetId = textAt(first, 'datasetVersion.dataset.id');
  expect(
    await harness().ask(token, `{ datasetVersions(datasetId: "${datasetId}") { nodes { version } } datasetByName(name: "none") { id } }`),
  ).toEqual({
    datasetVersions: { nodes: [{ version: 2 }, { version: 1 }] },
    datasetByName: null,
  });
});

test('bytes that the project has stored need not be sent again; another project knows nothing of them', async () => {
  const sha256 = createHash('sha256').update('x.png').digest('hex');
  const token = await harness().makeToken('analyst');
  await harness().makeReadyUpload(token, [{ fileName: 'x.png' }]);
  const add = async (who: TestToken, bytes: number) => {
    const uploadId = await newUpload(who);
    const answer = await harness().ask(who, ADD, { input: { uploadId, files: [{ fileName: 'again.png', bytes, sha256 }] } });
    return { uploadId, file: at(answer, 'addUploadFiles.files.0') };
  };
  const known = await add(token, 100);
  expect(known.file).toEqual({ ordinal: 0, fileName: 'again.png', alreadyStored: true, uploadUrl: null });
  // Nothing to inspect: ready at once.
  expect(
    await harness().ask(token, `mutation { completeUpload(input: { uploadId: "${known.uploadId}" }) { upload { status verifiedCount } } }`),
  ).toEqual({
    completeUpload: { upload: { status: 'READY', verifiedCount: 1 } },
  });
  expect((await add(token, 101)).file).toMatchObject({ alreadyStored: false });
  expect((await add(await harness().makeToken('analyst'), 100)).file).toMatchObject({ alreadyStored: false });
});

test('files are refused as a whole, with everything that is wrong, and leave nothing behind', async () => {
  const token = await harness().makeToken('analyst');
  const uploadId = await newUpload(token);
  const add = async (...names: [string, number][]) =>
    at(
      await harness().ask(token, ADD, { input: { uploadId, files: names.map(([fileName, bytes]) => ({ fileName, bytes })) } }),
      'addUploadFiles',
    );
  expect(await add(['a.png', 5])).toMatchObject({ ok: true });
  expect(await add(['b.png', 5], ['a.png', 5], ['c.png', 5])).toMatchObject({
    ok: false,
    files: null,
    error: {
      code: 'INVALID_INPUT',
      inputErrors: [{ field: 'files[1].fileName', message: '"a.png" is already in this upload: leave it out or rename it' }],
    },
  });
  expect(at(await add(['d.png', 0], ['d.png', 99_999_999]), 'error.inputErrors')).toHaveLength(3);
  expect(await harness().ask(token, `{ uploadFiles(uploadId: "${uploadId}") { totalCount nodes { fileName status } } }`)).toEqual({
    uploadFiles: { totalCount: 1, nodes: [{ fileName: 'a.png', status: 'PENDING' }] },
  });
  await harness().ask(token, `mutation { completeUpload(input: { uploadId: "${uploadId}" }) { ok } }`);
  expect(await add(['late.png', 5])).toMatchObject({
    ok: false,
    error: { code: 'CONFLICT', message: expect.stringContaining('is INSPECTING') },
  });
});

test('an upload without files cannot be completed', async () => {
  const token = await harness().makeToken('analyst');
  const uploadId = await newUpload(token);
  const answer = await harness().ask(token, `mutation { completeUpload(input: { uploadId: "${uploadId}" }) { ok error { message } } }`);
  expect(answer).toMatchObject({
    completeUpload: { ok: false, error: { message: `Upload ${uploadId} has no files. Add some with addUploadFiles first.` } },
  });
});

test('rejected files stop a dataset, or are skipped on request', async () => {
  const token = await harness().makeToken('trainer');
  const uploadId = await harness().makeReadyUpload(token, [
    ...CHEST_FILES,
    { fileName: 'broken.png', label: 'normal', patient: 'p99', rejected: true },
  ]);
  expect(await finalize(token, { uploadId, datasetName: 'd' })).toMatchObject({
    ok: false,
    datasetVersion: null,
    error: {
      message: expect.stringContaining('1 of 41 files were rejected'),
      inputErrors: [{ field: 'broken.png', message: 'TRUNCATED: the image ends early' }],
    },
  });
  expect(
    await harness().ask(
      token,
      `{ uploadFiles(uploadId: "${uploadId}", status: REJECTED) { totalCount nodes { fileName errorCode errorMessage } } datasets { totalCount } }`,
    ),
  ).toEqual({
    uploadFiles: { totalCount: 1, nodes: [{ fileName: 'broken.png', errorCode: 'TRUNCATED', errorMessage: 'the image ends early' }] },
    datasets: { totalCount: 0 },
  });
  expect(await finalize(token, { uploadId, datasetName: 'd', onRejected: 'SKIP' })).toMatchObject({
    ok: true,
    datasetVersion: { sampleCount: 40 },
  });
});

test('what cannot be split is refused with every reason', async () => {
  const token = await harness().makeToken('trainer');
  const uploadId = await harness().makeReadyUpload(token, [
    { fileName: 'a.png', label: 'normal' },
    { fileName: 'b.png', patient: 'p1' },
    ...CHEST_FILES,
  ]);
  const unlabelled = await finalize(token, { uploadId, datasetName: 'd' });
  expect(at(unlabelled, 'error.inputErrors')).toEqual([
    { field: 'a.png', message: 'has no patient' },
    { field: 'b.png', message: 'has no label' },
  ]);
  const odd = await finalize(token, { uploadId, datasetName: ' ', splitFractions: { train: 0.9, val: 0.3, test: -0.1 }, splitSeed: -1 });
  expect((at(odd, 'error.inputErrors') as { field: string }[]).map((issue) => issue.field)).toEqual([
    'datasetName',
    'splitFractions.test',
    'splitFractions',
    'splitSeed',
  ]);
  const few = await harness().makeReadyUpload(token, CHEST_FILES.slice(0, 6));
  expect(await finalize(token, { uploadId: few, datasetName: 'd' })).toMatchObject({
    ok: false,
    error: { code: 'INVALID_INPUT', message: expect.stringContaining('patients') },
  });
  expect(await harness().ask(token, '{ datasets { totalCount } }')).toEqual({ datasets: { totalCount: 0 } });
});

test('nothing of another project can be seen or used', async () => {
  const [mine, theirs] = [await harness().makeToken('admin'), await harness().makeToken('admin')];
  const uploadId = await harness().makeReadyUpload(theirs, CHEST_FILES);
  const made = await finalize(theirs, { uploadId, datasetName: 'theirs' });
  const [versionId, datasetId] = [textAt(made, 'datasetVersion.id'), textAt(made, 'datasetVersion.dataset.id')];
  for (const query of [
    `{ upload(id: "${uploadId}") { id } }`,
    `{ uploadFiles(uploadId: "${uploadId}") { totalCount } }`,
    `{ dataset(id: "${datasetId}") { id } }`,
    `{ datasetVersion(id: "${versionId}") { id } }`,
    `{ datasetVersions(datasetId: "${datasetId}") { totalCount } }`,
    `{ samples(datasetVersionId: "${versionId}") { totalCount } }`,
  ]) {
    expect(at((await harness().raw(mine, query)).body, 'errors.0.extensions.code'), query).toBe('NOT_FOUND');
  }
  expect(await harness().ask(mine, '{ datasets { totalCount nodes { id } } datasetByName(name: "theirs") { id } }')).toEqual({
    datasets: { totalCount: 0, nodes: [] },
    datasetByName: null,
  });
  expect(await finalize(mine, { uploadId, datasetName: 'x' })).toMatchObject({ error: { code: 'NOT_FOUND' } });
  expect(await harness().ask(mine, ADD, { input: { uploadId, files: [{ fileName: 'z.png', bytes: 1 }] } })).toMatchObject({
    addUploadFiles: { error: { code: 'NOT_FOUND' } },
  });
  expect(
    await harness().ask(mine, `mutation { startTrainingRun(input: { datasetVersionId: "${versionId}" }) { ok error { code } } }`),
  ).toEqual({
    startTrainingRun: { ok: false, error: { code: 'NOT_FOUND' } },
  });
});
