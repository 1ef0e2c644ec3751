import { expect, test } from 'vitest';
import { encodeManifest } from '@roentgen/datasets';
import { newId, parseTrainingRecipe, type ManifestEntry, type Split, type TrainingRecipe } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { TrainingPlan } from '@roentgen/training';
import { DatasetMismatchError, ObjectCorruptError, ObjectMissingError } from '../errors.js';
import { MemoryStore } from '../testing/memory-store.js';
import { sha256Of } from './objects.js';
import { TrainingFeed, type FeedOptions } from './training-feed.js';

const SIZE = 32;
const recipe = parseTrainingRecipe({ imageSizePx: SIZE, globalBatchSize: 4, microBatchSize: 2, epochs: 2, seed: 9 });

/** Ten training images, three for validation, two for the test; image i has only the colour i. */
const SPLITS: readonly Split[] = [...Array<Split>(10).fill('train'), ...Array<Split>(3).fill('val'), ...Array<Split>(2).fill('test')];
const entries: readonly ManifestEntry[] = await Promise.all(
  SPLITS.map(async (split, i) => ({
    fileName: `xray-${String(i).padStart(2, '0')}.png`,
    sha256: await sha256Of(Buffer.from([i])),
    label: i % 2 === 0 ? 'normal' : 'pneumonia',
    patient: `patient-${i}`,
    split,
    widthPx: 100,
    heightPx: 100,
  })),
);

interface Changes {
  readonly entries?: readonly ManifestEntry[];
  readonly recipe?: TrainingRecipe;
  readonly classes?: string[];
  readonly damage?: (store: MemoryStore, key: string) => void;
  readonly pixels?: FeedOptions['images']['pixels'];
}

async function feedWith(changes: Changes = {}) {
  const store = new MemoryStore();
  const asked: string[] = [];
  const { bytes, sha256 } = encodeManifest(changes.entries ?? entries);
  await store.put('manifest.jsonl', bytes);
  changes.damage?.(store, 'manifest.jsonl');
  const colour = new Map(entries.map((entry, i) => [entry.sha256, i]));
  const pixels: FeedOptions['images']['pixels'] = async (image) => {
    asked.push(image.fileName);
    return await Promise.resolve(new Uint8Array(SIZE * SIZE * 3).fill(colour.get(image.sha256)!));
  };
  const feed = await TrainingFeed.open({
    store,
    images: { pixels: changes.pixels ?? pixels, retain: () => undefined },
    dataset: {
      datasetVersionId: newId('dsv'),
      projectId: newId('prj'),
      manifestKey: 'manifest.jsonl',
      manifestSha256: sha256,
      classes: changes.classes ?? ['normal', 'pneumonia'],
    },
    recipe: changes.recipe ?? recipe,
    prefetchBatches: 1,
    patience: { logger: silentLogger },
  });
  return { feed, asked };
}

test('the steps have the images of the plan, in its order, with their labels', async () => {
  const { feed } = await feedWith();
  const plan = new TrainingPlan(recipe, 10);
  expect(feed.summary).toEqual({ trainSamples: 10, validationSamples: 3 });
  feed.startAt(0);
  for (let step = 0; step < plan.totalSteps; step++) {
    const { slot, microBatches } = await feed.trainingBatch(step);
    const planned = plan.microBatches(step).map(({ slots }) => slots.map(({ sample }) => sample));
    expect(microBatches.map(({ images, labels }) => [...labels].map((_, i) => images[i * SIZE * SIZE * 3]))).toEqual(planned);
    expect(microBatches.map(({ labels }) => [...labels])).toEqual(planned.map((samples) => samples.map((sample) => sample % 2)));
    expect(microBatches.flatMap(({ sampleIds }) => sampleIds)).toEqual(planned.flat().map((sample) => entries[sample]!.fileName));
    feed.release('training', slot);
  }
});

test('with balanced class weights a rare class counts more, in training alone', async () => {
  const rare = entries.map((entry, i) => ({ ...entry, label: i === 3 || i === 10 ? 'pneumonia' : 'normal' }));
  const { feed } = await feedWith({ recipe: { ...recipe, classWeights: 'balanced' }, entries: rare });
  feed.startAt(0);
  const weightOf = new Map<number, number>();
  for (const step of [0, 1, 2]) {
    const { slot, microBatches } = await feed.trainingBatch(step);
    for (const { labels, weights } of microBatches) labels.forEach((label, i) => weightOf.set(label, weights[i]!));
    feed.release('training', slot);
  }
  expect(weightOf.get(0)).toBeCloseTo(10 / (2 * 9), 6);
  expect(weightOf.get(1)).toBe(5);
  expect([...(await feed.evaluationBatch(0)).microBatches[0]!.weights]).toEqual([1, 1]);
});

test('a run that is resumed reads the images of its next step', async () => {
  const [{ feed: whole }, { feed: resumed }] = [await feedWith(), await feedWith()];
  whole.startAt(0);
  for (const step of [0, 1, 2]) whole.release('training', (await whole.trainingBatch(step)).slot);
  resumed.startAt(3);
  expect((await resumed.trainingBatch(3)).microBatches.map(({ sampleIds }) => sampleIds)).toEqual(
    (await whole.trainingBatch(3)).microBatches.map(({ sampleIds }) => sampleIds),
  );
});

test('an evaluation reads the validation split once, in manifest order, and the next one again', async () => {
  const { feed } = await feedWith();
  for (const _evaluation of [1, 2]) {
    const first = await feed.evaluationBatch(0);
    expect(first.microBatches[0]!.sampleIds).toEqual(['xray-10.png', 'xray-11.png']);
    feed.release('evaluation', first.slot);
    const last = await feed.evaluationBatch(1);
    expect(last.microBatches[0]!.sampleIds).toEqual(['xray-12.png']);
    expect(last.microBatches[0]!.images.length).toBe(SIZE * SIZE * 3);
    feed.release('evaluation', last.slot);
  }
});

test('the test split is never read', async () => {
  const { feed, asked } = await feedWith();
  feed.startAt(0);
  for (let step = 0; step < new TrainingPlan(recipe, 10).totalSteps; step++)
    feed.release('training', (await feed.trainingBatch(step)).slot);
  for (const index of [0, 1]) feed.release('evaluation', (await feed.evaluationBatch(index)).slot);
  expect(new Set(asked).size).toBe(13);
  expect(asked).not.toContain('xray-13.png');
  expect(asked).not.toContain('xray-14.png');
});

test('a manifest that is missing or changed, and a label that is no class, end the attempt with their names', async () => {
  await expect(feedWith({ damage: (store, key) => store.objects.delete(key) })).rejects.toThrow(ObjectMissingError);
  await expect(feedWith({ damage: (store, key) => store.objects.get(key)!.fill(0x20, 0, 1) })).rejects.toThrow(ObjectCorruptError);
  await expect(feedWith({ classes: ['normal', 'covid'] })).rejects.toThrow(DatasetMismatchError);
});

test('an image that is missing ends the attempt at the step that needs it', async () => {
  const { feed } = await feedWith({ pixels: (image) => Promise.reject(new ObjectMissingError(`${image.fileName} is gone`)) });
  feed.startAt(0);
  await expect(feed.trainingBatch(0)).rejects.toThrow(/xray-\d\d.png is gone/);
});
