import { InvalidInputError, newId } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { objectKeys } from './object-keys.js';

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
