import { InvalidInputError, newId } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { objectKeys, parseObjectKey } from './object-keys.js';

const prj = newId('prj');
const sha = 'a'.repeat(64);

test('everything but what is still to be looked at lies below its project', () => {
  const [upload, run, checkpoint, job] = [newId('upl'), newId('run'), newId('ckp'), newId('pred')];
  expect(objectKeys.staging(upload, 3)).toBe(`staging/${upload}/3`);
  expect(objectKeys.image(prj, sha)).toBe(`projects/${prj}/objects/${sha}`);
  expect(objectKeys.manifest(prj, sha)).toBe(`projects/${prj}/manifests/${sha}.jsonl`);
  expect(objectKeys.predictionsCsv(prj, job)).toBe(`projects/${prj}/predictions/${job}.csv`);
  const key = objectKeys.checkpoint(prj, run, checkpoint);
  expect(key).toBe(`projects/${prj}/runs/${run}/checkpoints/${checkpoint}.safetensors`);
  expect(objectKeys.checkpointDescription(key)).toBe(`projects/${prj}/runs/${run}/checkpoints/${checkpoint}.json`);
});

test('nothing that could lead out of its place becomes part of a key', () => {
  expect(() => objectKeys.image(prj, '../../other')).toThrow(InvalidInputError);
  expect(() => objectKeys.image('prj_../x', sha)).toThrow(InvalidInputError);
  expect(() => objectKeys.staging(newId('upl'), -1)).toThrow('-1 is not the place of a file');
  expect(() => objectKeys.staging(newId('upl'), 1.5)).toThrow(InvalidInputError);
});

test('a key is read back as what it names, and no other text is', () => {
  const [uploadId, runId, checkpointId, jobId] = [newId('upl'), newId('run'), newId('ckp'), newId('pred')];
  const checkpoint = objectKeys.checkpoint(prj, runId, checkpointId);
  expect(parseObjectKey(objectKeys.staging(uploadId, 12))).toEqual({ kind: 'staging', uploadId, ordinal: 12 });
  expect(parseObjectKey(objectKeys.image(prj, sha))).toEqual({ kind: 'image', projectId: prj, sha256: sha });
  expect(parseObjectKey(objectKeys.weights(prj, sha))).toEqual({ kind: 'weights', projectId: prj, sha256: sha });
  expect(parseObjectKey(objectKeys.manifest(prj, sha))).toEqual({ kind: 'manifest', projectId: prj, sha256: sha });
  expect(parseObjectKey(objectKeys.predictionsCsv(prj, jobId))).toEqual({ kind: 'predictions', projectId: prj, jobId });
  expect(parseObjectKey(checkpoint)).toEqual({ kind: 'checkpoint', projectId: prj, runId, checkpointId });
  expect(parseObjectKey(objectKeys.checkpointDescription(checkpoint))).toEqual({
    kind: 'checkpoint-description',
    projectId: prj,
    runId,
    checkpointId,
  });
  const image = objectKeys.image(prj, sha);
  for (const foreign of [
    '',
    'backup.tar',
    `${image}.bak`,
    `x/${image}`,
    image.toUpperCase(),
    `staging/${uploadId}/01`,
    `staging/${runId}/1`,
  ]) {
    expect(parseObjectKey(foreign), foreign).toBeNull();
  }
});
