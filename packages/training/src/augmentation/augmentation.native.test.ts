import { readFileSync } from 'node:fs';
import { parseTrainingRecipe } from '@roentgen/domain';
import type { AugmentationRecipe } from '@roentgen/domain';
import { Graph, Session, expectDType, loadBinding, ops } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { noiseSamples } from '../noise-samples.js';
import { pseudoRandom } from '../parity/reference-fixture.js';
import { TrainingPlan } from '../plan.js';
import { inputOf } from '../testing/synthetic.js';
import { TrainingSession } from '../training-session.js';
import type { AugmentationDraw } from './draw.js';
import { intensity, inverseTransform } from './feeds.js';
import { addAugmentation } from './graph.js';

const EVERYTHING: AugmentationRecipe = {
  ...{ rotationDegrees: 20, horizontalFlip: 0.5, shiftFraction: 0.1, scaleFraction: 0.2, brightness: 0.2, contrast: 0.3 },
};
const UNCHANGED: AugmentationDraw = {
  ...{ rotationDegrees: 0, flip: false, shiftX: 0, shiftY: 0, scale: 1, brightness: 0, contrast: 1 },
};

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

/** The part of the training graph that changes images, by itself. images: [n, s, s, 3] bytes → the same shape, float32 */
function augmenter(n: number, sizePx: number) {
  const graph = new Graph();
  const images = graph.placeholder('images', 'uint8', [n, sizePx, sizePx, 3]);
  const augmented = addAugmentation(graph, images, EVERYTHING);
  const fetches = { changed: expectDType(ops.identity(graph, augmented.images, { name: 'changed' }), 'float32') };
  const endpoint = graph.endpoint('augment', { images, ...augmented.feeds }, fetches);
  const session = Session.load(binding, graph.compile());
  return {
    run: (pixels: Uint8Array, feeds: object): Float32Array =>
      session.run(endpoint, { images: { data: pixels, shape: images.shape }, ...feeds }).changed,
    close: () => session.close(),
  };
}

function feedsOf(draws: readonly AugmentationDraw[], sizePx: number): object {
  const perImage = (values: number[]) => ({ data: Float32Array.from(values), shape: [draws.length, 1, 1, 1] });
  return {
    transforms: { data: Float32Array.from(draws.flatMap((draw) => inverseTransform(draw, sizePx))), shape: [draws.length, 8] },
    gains: perImage(draws.map((draw) => intensity(draw).gain)),
    offsets: perImage(draws.map((draw) => intensity(draw).offset)),
  };
}

/** Grey values of a square image; a stroke ends a row. */
const grid = (text: string) => text.split('/').map((row) => row.trim().split(' ').map(Number));

/** One image of grey values, changed. */
function changed(rows: readonly (readonly number[])[], draw: Partial<AugmentationDraw>): number[][] {
  const sizePx = rows.length;
  const { run, close } = augmenter(1, sizePx);
  const pixels = Uint8Array.from(rows.flat().flatMap((grey) => [grey, grey, grey]));
  const result = run(pixels, feedsOf([{ ...UNCHANGED, ...draw }], sizePx));
  close();
  return rows.map((row, y) => row.map((_, x) => Number(result[(y * sizePx + x) * 3]!.toFixed(3))));
}

test('an image that nothing is done to keeps every bit', () => {
  const { run, close } = augmenter(2, 64);
  const pixels = Uint8Array.from(pseudoRandom('identity', 2 * 64 * 64 * 3));
  const result = run(pixels, feedsOf([UNCHANGED, UNCHANGED], 64));
  expect(Buffer.from(result.buffer).equals(Buffer.from(Float32Array.from(pixels).buffer))).toBe(true);
  close();
});

test.each<{ what: string; draw: Partial<AugmentationDraw>; expected: string }>([
  { what: 'a quarter turn goes against the clock', draw: { rotationDegrees: 90 }, expected: '3 6 9 / 2 5 8 / 1 4 7' },
  { what: 'half a turn', draw: { rotationDegrees: -180 }, expected: '9 8 7 / 6 5 4 / 3 2 1' },
  { what: 'a flip swaps left and right', draw: { flip: true }, expected: '3 2 1 / 6 5 4 / 9 8 7' },
  { what: 'a flip comes before the turn', draw: { flip: true, rotationDegrees: 90 }, expected: '1 4 7 / 2 5 8 / 3 6 9' },
  { what: 'a shift moves right and leaves black', draw: { shiftX: 1 / 3 }, expected: '0 1 2 / 0 4 5 / 0 7 8' },
  { what: 'a shift moves down and leaves black', draw: { shiftY: 1 / 3 }, expected: '0 0 0 / 1 2 3 / 4 5 6' },
  { what: 'a scale of 2 magnifies', draw: { scale: 2 }, expected: '3 3.5 4 / 4.5 5 5.5 / 6 6.5 7' },
  { what: 'brightness is added', draw: { brightness: 0.2 }, expected: '52 53 54 / 55 56 57 / 58 59 60' },
  { what: 'no pixel gets darker than black', draw: { brightness: -5 / 255 }, expected: '0 0 0 / 0 0 1 / 2 3 4' },
  { what: 'no pixel gets lighter than white', draw: { brightness: 250 / 255 }, expected: '251 252 253 / 254 255 255 / 255 255 255' },
  {
    what: 'less contrast moves towards grey',
    draw: { contrast: 0.5 },
    expected: '64.25 64.75 65.25 / 65.75 66.25 66.75 / 67.25 67.75 68.25',
  },
  { what: 'what is shifted in stays black', draw: { brightness: 0.2, shiftX: 1 / 3 }, expected: '0 52 53 / 0 55 56 / 0 58 59' },
])('$what', ({ draw, expected }) => {
  expect(changed(grid('1 2 3 / 4 5 6 / 7 8 9'), draw)).toEqual(grid(expected));
});

const FixtureSchema = z.object({
  imageSizePx: z.int(),
  cases: z.array(
    z.object({
      draw: z.object({
        ...{ rotationDegrees: z.number(), flip: z.boolean(), shiftX: z.number(), shiftY: z.number(), scale: z.number() },
        ...{ brightness: z.number(), contrast: z.number() },
      }),
      expected: z.array(z.number()),
    }),
  ),
});

test('the images are those that SciPy and Pillow make of the same numbers', () => {
  const fixture = FixtureSchema.parse(JSON.parse(readFileSync(new URL('../../fixtures/augmentation.json', import.meta.url), 'utf8')));
  const { imageSizePx, cases } = fixture;
  const count = imageSizePx ** 2 * 3;
  const { run, close } = augmenter(cases.length, imageSizePx);
  const pixels = Uint8Array.from(cases.flatMap((_, index) => [...pseudoRandom(`augmentation/${index}`, count)]));
  const result = run(
    pixels,
    feedsOf(
      cases.map(({ draw }) => draw),
      imageSizePx,
    ),
  );
  close();
  cases.forEach(({ draw, expected }, index) => {
    const off = expected.map((value, i) => Math.abs(value - result[index * count + i]!));
    // Grey levels of 255; noise of full contrast, so a pixel that is read a ten-thousandth beside its place is off by 0.025.
    expect(Math.max(...off), JSON.stringify(draw)).toBeLessThan(0.01);
  });
});

const samples = noiseSamples(16, 32, 2);
const recipe = parseTrainingRecipe({
  imageSizePx: 32,
  epochs: 2,
  globalBatchSize: 8,
  microBatchSize: 4,
  seed: 2,
  augmentation: { ...EVERYTHING },
});

/** The images of an epoch as the network gets them, by sample, when the steps are computed in this order. */
async function augmentedImages(microBatchSize: number, steps: readonly number[]): Promise<Map<number, string>> {
  const plan = new TrainingPlan({ ...recipe, microBatchSize }, samples.length);
  const { run, close } = augmenter(microBatchSize, recipe.imageSizePx);
  const bySample = new Map<number, string>();
  for (const step of steps) {
    const microBatches = await inputOf(plan, samples).batch(step);
    plan.microBatches(step).forEach((planned, index) => {
      const images = run(microBatches[index]!.images, plan.augmentation(planned));
      const length = images.length / microBatchSize;
      planned.slots.forEach(({ sample }, i) =>
        bySample.set(sample, Buffer.from(images.slice(i * length, (i + 1) * length).buffer).toString('base64')),
      );
    });
  }
  close();
  return bySample;
}

test('every image is changed to the same bits in whatever micro-batch, order and share of a worker it comes', async () => {
  const alone = await augmentedImages(8, [0, 1]);
  const [first, second] = [await augmentedImages(2, [1]), await augmentedImages(2, [0])];
  expect(alone.size).toBe(16);
  const together = new Map([...first, ...second]);
  for (const [sample, image] of alone) expect(together.get(sample) === image, `sample ${sample}`).toBe(true);
  const nextEpoch = await augmentedImages(8, [2, 3]);
  for (const [sample, image] of alone) expect(nextEpoch.get(sample) === image, `sample ${sample}`).toBe(false);
});

test('training sees the changed images, prediction the images as they are', () => {
  const plain = { imageSizePx: 32, globalBatchSize: 4, microBatchSize: 4, seed: 2, dropoutRate: 0, dropConnectRate: 0 };
  const open = (input: object) => {
    const session = TrainingSession.create({ binding, recipe: parseTrainingRecipe({ ...plain, ...input }), numClasses: 2 });
    session.setState(session.initialState(1));
    return { session, plan: new TrainingPlan(session.recipe, samples.length) };
  };
  const mirrored = open({ augmentation: { horizontalFlip: 1 } });
  const unchanged = open({});
  const planned = mirrored.plan.microBatches(0)[0]!;
  const images = Buffer.concat(planned.slots.map(({ sample }) => samples[sample]!.pixels));
  const batch = { images: new Uint8Array(images), labels: Int32Array.of(0, 1, 0, 1), weights: new Float32Array(4).fill(1), sampleIds: [] };
  const seed = Int32Array.of(1, 2);
  const byGraph = mirrored.session.gradients(batch, seed, mirrored.plan.augmentation(planned));
  const byHand = unchanged.session.gradients({ ...batch, images: mirrorImage(batch.images, 32) }, seed);
  expect(byGraph.lossSum).toBe(byHand.lossSum);
  expect(Buffer.from(byGraph.gradientSum.buffer).equals(Buffer.from(byHand.gradientSum.buffer))).toBe(true);
  expect(byGraph.lossSum).not.toBe(unchanged.session.gradients(batch, seed).lossSum);
  expect(mirrored.session.predict(batch.images, 4)).toEqual(unchanged.session.predict(batch.images, 4));
  expect(() => mirrored.session.gradients(batch, seed)).toThrow('feed "transforms" of endpoint "gradients" is missing');
  mirrored.session.close();
  unchanged.session.close();
});

function mirrorImage(pixels: Uint8Array, sizePx: number): Uint8Array {
  return pixels.map((_, i) => {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const x = pixel % sizePx;
    return pixels[(pixel - x + (sizePx - 1 - x)) * 3 + channel]!;
  });
}
