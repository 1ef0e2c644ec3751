import { AUGMENTATION_PRESETS, parseTrainingRecipe } from '@roentgen/domain';
import type { AugmentationRecipe } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { TrainingPlan } from '../plan.js';
import { drawAugmentation } from './draw.js';
import type { AugmentationDraw } from './draw.js';
import { augmentationFeeds } from './feeds.js';

const ranges: AugmentationRecipe = {
  ...{ rotationDegrees: 30, horizontalFlip: 0.25, shiftFraction: 0.1, scaleFraction: 0.2, brightness: 0.3, contrast: 0.4 },
};
const augmented = { imageSizePx: 32, epochs: 2, globalBatchSize: 8, microBatchSize: 4, augmentation: { ...ranges } };
const SAMPLES = 4000;
const draws = (epoch: number, seed = 1): AugmentationDraw[] =>
  Array.from({ length: SAMPLES }, (_, sample) => drawAugmentation(ranges, seed, epoch, sample));

const numbers = {
  rotationDegrees: [-30, 30],
  shiftX: [-0.1, 0.1],
  shiftY: [-0.1, 0.1],
  scale: [0.8, 1.2],
  brightness: [-0.3, 0.3],
  contrast: [0.6, 1.4],
} as const satisfies Partial<Record<keyof AugmentationDraw, readonly [number, number]>>;
const NUMBERS = Object.entries(numbers) as [keyof typeof numbers, readonly [number, number]][];

test.each(NUMBERS)('%s is spread evenly over its range, and nowhere else', (name, [low, high]) => {
  const values = draws(1).map((draw) => draw[name]);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
  expect(Math.max(...values)).toBeLessThanOrEqual(high);
  const tenths = new Array<number>(10).fill(0);
  for (const value of values) tenths[Math.min(9, Math.floor(((value - low) / (high - low)) * 10))]! += 1;
  // χ² with 9 degrees of freedom: 27.9 is passed by chance once in a thousand draws, and these never change.
  const chiSquare = tenths.reduce((sum, count) => sum + (count - SAMPLES / 10) ** 2 / (SAMPLES / 10), 0);
  expect(chiSquare).toBeLessThan(27.9);
});

test('images are flipped as often as the recipe says, and what is drawn for an image is unrelated', () => {
  const drawn = draws(1);
  expect(drawn.filter(({ flip }) => flip).length / SAMPLES).toBeCloseTo(0.25, 1);
  for (const [a, b] of [['shiftX', 'shiftY'] as const, ['brightness', 'contrast'] as const, ['rotationDegrees', 'scale'] as const]) {
    const [left, right] = [drawn.map((draw) => draw[a]), drawn.map((draw) => draw[b])];
    expect(Math.abs(correlation(left, right)), `${a}, ${b}`).toBeLessThan(0.05);
  }
  const neighbours = drawn.map(({ rotationDegrees }) => rotationDegrees);
  expect(Math.abs(correlation(neighbours.slice(1), neighbours.slice(0, -1)))).toBeLessThan(0.05);
});

test('a draw is a function of seed, epoch and sample', () => {
  expect(draws(1)).toEqual(draws(1));
  for (const others of [draws(2), draws(1, 2)]) {
    expect(draws(1).filter((draw, i) => draw.rotationDegrees === others[i]!.rotationDegrees)).toHaveLength(0);
  }
});

test('a range that is changed leaves the other draws as they are', () => {
  const { rotationDegrees: _wide, ...others } = drawAugmentation(ranges, 1, 1, 7);
  const { rotationDegrees, ...same } = drawAugmentation({ ...ranges, rotationDegrees: 0 }, 1, 1, 7);
  expect(same).toEqual(others);
  expect(Math.abs(rotationDegrees)).toBe(0);
});

/** What each sample of an epoch is fed, as text: [sample, feeds]. */
function feedsBySample(plan: TrainingPlan, epoch: number, steps: readonly number[]): Map<number, string> {
  const bySample = new Map<number, string>();
  for (const step of steps) {
    for (const microBatch of plan.microBatches((epoch - 1) * plan.stepsPerEpoch + step)) {
      const { transforms, gains, offsets } = plan.augmentation(microBatch);
      microBatch.slots.forEach(({ sample }, i) => {
        const own = [...transforms!.data.subarray(i * 8, i * 8 + 8), gains!.data[i], offsets!.data[i]];
        bySample.set(sample, own.join());
      });
    }
  }
  return bySample;
}

test('a sample is changed in the same way in whatever micro-batch, step or worker it is computed', () => {
  const plan = (input: object) => new TrainingPlan(parseTrainingRecipe({ ...augmented, ...input }), 24);
  const pairs = plan({ globalBatchSize: 4, microBatchSize: 2 });
  const eights = plan({ globalBatchSize: 8, microBatchSize: 8 });
  const all = feedsBySample(pairs, 1, [0, 1, 2, 3, 4, 5]);
  expect(all.size).toBe(24);
  expect(new Set(all.values()).size).toBe(24);
  // Another size of micro-batch, the steps in another order, as a second worker would take them.
  expect(new Map([...feedsBySample(eights, 1, [2, 0, 1])].sort())).toEqual(new Map([...all].sort()));
  const next = feedsBySample(pairs, 2, [0, 1, 2, 3, 4, 5]);
  for (const [sample, own] of all) expect(next.get(sample)).not.toBe(own);
});

test('a recipe that changes nothing feeds nothing, and one that only changes brightness no places', () => {
  const feeds = (augmentation: Partial<AugmentationRecipe>) =>
    Object.keys(
      augmentationFeeds({ seed: 0, imageSizePx: 32, augmentation: { ...AUGMENTATION_PRESETS.none, ...augmentation } }, 1, [0, 1]),
    );
  expect(feeds({})).toEqual([]);
  expect(feeds({ brightness: 0.1 })).toEqual(['gains', 'offsets']);
  expect(feeds({ horizontalFlip: 0.5 })).toEqual(['transforms']);
  expect(feeds(AUGMENTATION_PRESETS.light)).toEqual(['transforms', 'gains', 'offsets']);
});

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const covariance = mean(a.map((value, i) => (value - meanA) * (b[i]! - meanB)));
  return covariance / Math.sqrt(mean(a.map((value) => (value - meanA) ** 2)) * mean(b.map((value) => (value - meanB) ** 2)));
}
