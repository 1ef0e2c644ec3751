import { expect, test } from 'vitest';
import { recipeOf } from './train.js';

test('the recipe has what the flags say and nothing else', () => {
  expect(recipeOf({})).toEqual({});
  expect(recipeOf({ weights: 'lite0-imagenet' })).toEqual({ initialWeights: 'lite0-imagenet' });
  expect(recipeOf({ batchSize: 32, imageSize: 300, learningRate: 1e-4 })).toEqual({
    globalBatchSize: 32,
    imageSizePx: 300,
    learningRate: 1e-4,
  });
  expect(recipeOf({ optimizer: 'adamw', weightDecay: 0.05, schedule: 'exponential', clipNorm: 1, emaDecay: 0.999 })).toEqual({
    optimizer: { kind: 'ADAMW', weightDecay: 0.05 },
    schedule: { kind: 'EXPONENTIAL' },
    clipNorm: 1,
    emaDecay: 0.999,
  });
  expect(recipeOf({ precision: 'bf16', recompute: true })).toEqual({ precision: 'BF16', recompute: true });
});

test('ranges of augmentation go with a preset or without', () => {
  expect(recipeOf({ augmentation: 'light', rotationDegrees: 0 })).toEqual({ augmentation: { preset: 'LIGHT', rotationDegrees: 0 } });
  expect(recipeOf({ horizontalFlip: 0.5, layerDecay: 0.9 })).toEqual({ augmentation: { horizontalFlip: 0.5 }, layerDecay: 0.9 });
});

test('a weight decay without an optimiser is left to the server to judge', () => {
  expect(recipeOf({ weightDecay: 0.05 })).toEqual({ optimizer: { weightDecay: 0.05 } });
});
