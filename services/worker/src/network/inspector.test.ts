import { expect, test } from 'vitest';
import { newId, type ObjectStore } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { objectKeys } from '@roentgen/storage';
import { MemoryStore } from '../testing/memory-store.js';
import { Inspector } from './inspector.js';

/** 16 × 16 pixels, black. */
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAADUlEQVR4nGNgGAXIAAABEAABoJMRpQAAAABJRU5ErkJggg==', 'base64');
const projectId = newId('prj');
const uploadId = newId('upl');

/** Inspects files that lie in staging, with the size that the client announced. */
async function inspect(files: { bytes: Buffer | null; declaredBytes?: number; declaredSha256?: string }[], store = new MemoryStore()) {
  const work = files.map(({ bytes, declaredBytes, declaredSha256 = null }, ordinal) => {
    const stagingKey = objectKeys.staging(uploadId, ordinal);
    if (bytes) store.objects.set(stagingKey, bytes);
    return { ordinal, fileName: `file-${ordinal}.png`, stagingKey, declaredBytes: declaredBytes ?? bytes?.length ?? 1, declaredSha256 };
  });
  const outcome = await new Inspector({ store, logger: silentLogger, concurrency: 2 }).inspect({
    kind: 'inspect',
    projectId,
    uploadId,
    files: work,
  });
  if (outcome.kind !== 'inspected') return expect.unreachable();
  return { files: outcome.files, store };
}

test('an image gets its place by content', async () => {
  const { files, store } = await inspect([{ bytes: PNG }]);
  expect(files).toMatchObject([{ ordinal: 0, error: null, image: { widthPx: 16, heightPx: 16, format: 'png', bytes: PNG.length } }]);
  expect(store.objects.get(objectKeys.image(projectId, files[0]!.image!.sha256))).toEqual(PNG);
});

test('a file that was not sent, has another size or is no image is rejected with its reason; the others are not', async () => {
  const { files, store } = await inspect([
    { bytes: null },
    { bytes: PNG, declaredBytes: PNG.length + 1 },
    { bytes: Buffer.from('no image') },
    { bytes: PNG },
  ]);
  expect(files.map(({ image, error }) => image?.format ?? error?.code)).toEqual([
    'NOT_UPLOADED',
    'SIZE_MISMATCH',
    expect.any(String),
    'png',
  ]);
  expect(files[2]!.error).not.toBeNull();
  expect([...store.objects.keys()].filter((key) => key.startsWith('projects/'))).toHaveLength(1);
});

test('a file that is not the one announced is rejected with both hashes', async () => {
  const { files, store } = await inspect([{ bytes: PNG, declaredSha256: 'a'.repeat(64) }]);
  expect(files).toMatchObject([{ image: null, error: { code: 'HASH_MISMATCH' } }]);
  expect(files[0]!.error!.message).toContain(`announced was ${'a'.repeat(64)}`);
  expect([...store.objects.keys()].filter((key) => key.startsWith('projects/'))).toEqual([]);
});

test('what is kept is what was looked at, also when the client sends other bytes in between', async () => {
  const store = new MemoryStore();
  const overwriting = Object.assign(new MemoryStore(), {
    objects: store.objects,
    get: async (key: string) => {
      const bytes = await store.get(key);
      store.objects.set(key, Buffer.from('something else'));
      return bytes;
    },
  });
  const { files } = await inspect([{ bytes: PNG }], overwriting);
  expect(store.objects.get(objectKeys.image(projectId, files[0]!.image!.sha256))).toEqual(PNG);
});

test('a file that the project has already is not stored again', async () => {
  const { store } = await inspect([{ bytes: PNG }]);
  const kept: string[] = [];
  const counting: Pick<ObjectStore, 'put'> = { put: (key) => Promise.resolve(void kept.push(key)) };
  await inspect([{ bytes: PNG }], Object.assign(new MemoryStore(), { objects: store.objects, ...counting }));
  expect(kept).toEqual([]);
});
