import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import type { PredictChunkWork } from '@roentgen/protocol';
import { ObjectMissingError } from '../errors.js';
import type { LoadedModel } from '../rpc.js';
import { MemoryStore } from '../testing/memory-store.js';
import { sha256Of } from './objects.js';
import { PredictionDesk } from './prediction-desk.js';

const SIZE = 4;
const TENSORS = Buffer.from('tensors');

/** A compute thread whose model says how bright an image is; and what it was asked. */
function desk(options: { answer?: (brightness: number) => number; missing?: number } = {}) {
  const store = new MemoryStore();
  store.objects.set('model.safetensors', TENSORS);
  store.objects.set('model.json', Buffer.from('{}'));
  const counts: number[] = [];
  let loads = 0;
  let loaded: LoadedModel | null = null;
  const predictions = new PredictionDesk({
    store,
    logger: silentLogger,
    images: {
      decode: (image) => {
        const brightness = Number(image.fileName);
        if (brightness === options.missing) return Promise.reject(new ObjectMissingError(`${image.fileName} is gone`));
        return Promise.resolve(new Uint8Array(SIZE * SIZE * 3).fill(brightness));
      },
    },
    compute: {
      loadedModel: () => Promise.resolve(loaded),
      loadModel: (checkpointId) => {
        loads++;
        loaded = { checkpointId, imageSizePx: SIZE, batchSize: 4, numClasses: 2, engine: 'abacus 1.0' };
        return Promise.resolve(loaded);
      },
      predict: (_checkpointId, images, count) => {
        counts.push(count);
        expect(images.length).toBe(count * SIZE * SIZE * 3);
        const bright = Array.from({ length: count }, (_, i) => (options.answer ?? ((b) => b / 255))(images[i * SIZE * SIZE * 3]!));
        return Promise.resolve(Float32Array.from(bright.flatMap((p) => [p, 1 - p])));
      },
    },
  });
  return { predictions, counts, loads: () => loads };
}

const sha256 = await sha256Of(TENSORS);

const work = (images: number): PredictChunkWork => ({
  kind: 'predict',
  projectId: newId('prj'),
  jobId: newId('pred'),
  checkpoint: { checkpointId: newId('ckp'), objectKey: 'model.safetensors', sha256, bytes: TENSORS.length },
  images: Array.from({ length: images }, (_, i) => ({ ordinal: 100 + i, fileName: String(i), sha256: 'a'.repeat(64) })),
});

test('each image gets the probabilities that the model gave it, in batches of the model', async () => {
  const { predictions, counts } = desk();
  const outcome = await predictions.predict(work(10));
  if (outcome.kind !== 'predicted') return expect.unreachable();
  expect(outcome.engine).toBe('abacus 1.0');
  expect(counts).toEqual([4, 4, 2]);
  expect(outcome.images.map(({ ordinal }) => ordinal)).toEqual(Array.from({ length: 10 }, (_, i) => 100 + i));
  outcome.images.forEach(({ probabilities }, i) => expect(probabilities[0]).toBeCloseTo(i / 255));
});

test('the chunks of a job load their model once, also after one that failed', async () => {
  const { predictions, loads } = desk({ missing: 6 });
  await predictions.predict(work(5));
  await expect(predictions.predict(work(10))).rejects.toThrow('6 is gone');
  expect(await predictions.predict(work(5))).toMatchObject({ kind: 'predicted' });
  expect(loads()).toBe(1);
});

test('a model that answers with NaN fails the chunk instead of filling a table', async () => {
  const { predictions } = desk({ answer: () => Number.NaN });
  await expect(predictions.predict(work(2))).rejects.toMatchObject({ code: 'NON_FINITE_PREDICTION' });
});
