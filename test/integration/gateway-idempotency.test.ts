import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { CHEST_FILES } from './gateway-scenes.js';

const harness = useGateway();

const FINALIZE = `mutation ($input: FinalizeDatasetInput!) { finalizeDataset(input: $input) {
  ok created error { code message inputErrors { field message } } datasetVersion { id version sampleCount patientCount classes manifestSha256 dataset { id name } splits { split label sampleCount patientCount } } } }`;
const ADD = `mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) {
  ok error { code message inputErrors { field message } } files { ordinal fileName alreadyStored uploadUrl } upload { id status fileCount pendingCount verifiedCount } } }`;

async function finalize(token: TestToken, input: object): Promise<unknown> {
  return at(await harness().ask(token, FINALIZE, { input }), 'finalizeDataset');
}

test('an idempotency key makes a repeated request give the first answer, and refuses another request', async () => {
  const token = await harness().makeToken('trainer');
  const create = (key: string) =>
    harness().ask(token, 'mutation ($key: String) { createUpload(input: { idempotencyKey: $key }) { ok error { code } upload { id } } }', {
      key,
    });
  const [first, same, other] = [await create('k1'), await create('k1'), await create('k2')];
  expect(same).toEqual(first);
  expect(other).not.toEqual(first);

  const uploadId = textAt(first, 'createUpload.upload.id');
  const add = (fileName: string) =>
    harness().ask(token, ADD, { input: { uploadId, idempotencyKey: 'files', files: [{ fileName, bytes: 5 }] } });
  expect(await add('a.png')).toMatchObject({ addUploadFiles: { ok: true, upload: { fileCount: 1 } } });
  expect(await add('a.png')).toMatchObject({
    addUploadFiles: { ok: true, upload: { fileCount: 1 }, files: [{ ordinal: 0, alreadyStored: false }] },
  });
  expect(await add('b.png')).toMatchObject({
    addUploadFiles: { ok: false, error: { code: 'CONFLICT', message: expect.stringContaining('"files" was used for another request') } },
  });

  const burst = await Promise.all(Array.from({ length: 8 }, () => create('burst')));
  expect(new Set(burst.map((answer) => textAt(answer, 'createUpload.upload.id'))).size).toBe(1);

  const ready = await harness().makeReadyUpload(token, CHEST_FILES);
  const made = await finalize(token, { uploadId: ready, datasetName: 'd', idempotencyKey: 'finalize' });
  expect(await finalize(token, { uploadId: ready, datasetName: 'd', idempotencyKey: 'finalize' })).toMatchObject({
    created: false,
    datasetVersion: at(made, 'datasetVersion'),
  });
  expect(await finalize(token, { uploadId: ready, datasetName: 'other', idempotencyKey: 'finalize' })).toMatchObject({
    ok: false,
    error: { code: 'CONFLICT' },
  });

  // A key belongs to the token that used it.
  const colleague = await harness().makeToken('trainer', { projectId: token.projectId });
  const theirs = await harness().ask(colleague, 'mutation { createUpload(input: { idempotencyKey: "k1" }) { ok upload { id } } }');
  expect(textAt(theirs, 'createUpload.upload.id')).not.toBe(uploadId);
  // A request that failed does not use up its key.
  const missing = { uploadId: newId('upl'), datasetName: 'd', idempotencyKey: 'retry' };
  expect(await finalize(token, missing)).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
  expect(await finalize(token, { uploadId: ready, datasetName: 'retried', idempotencyKey: 'retry' })).toMatchObject({ ok: true });
});
