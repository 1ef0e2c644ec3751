import { describe, expect, test } from 'vitest';
import { forkRecipe, type ForkSource, type RecipeOverrides } from './fork-recipe.js';
import { newId } from './ids.js';
import { InvalidRecipeError, parseRequestedRecipe } from './recipe.js';

/** 40 images, batches of 8: 5 steps an epoch. */
const source = (step = 10, recipe: object = {}): ForkSource => ({
  recipe: parseRequestedRecipe({ globalBatchSize: 8, microBatchSize: 4, epochs: 4, seed: 3, ...recipe }),
  checkpointId: newId('ckp'),
  step,
  trainSamples: 40,
});

function refusal(from: ForkSource, overrides: RecipeOverrides): Record<string, string> {
  try {
    forkRecipe(from, overrides);
  } catch (error) {
    if (error instanceof InvalidRecipeError) return Object.fromEntries(error.issues.map(({ field, message }) => [field, message]));
    throw error;
  }
  return {};
}

test('a fork without overrides has the recipe of the run', () => {
  const from = source(10, {
    variant: 'b3',
    optimizer: { kind: 'adamw', weightDecay: 0.1 },
    clipNorm: 2,
    augmentation: { preset: 'light' },
  });
  expect(forkRecipe(from, {})).toEqual(from.recipe);
});

describe('an override changes what it names and nothing else', () => {
  test.each<[string, RecipeOverrides, object]>([
    ['a number', { learningRate: 0.01 }, { learningRate: 0.01 }],
    ['one field of the optimiser', { optimizer: { beta1: 0.8 } }, { optimizer: { kind: 'adam', beta1: 0.8, beta2: 0.99, epsilon: 1e-7 } }],
    [
      'Adam to AdamW, whose memory is the same',
      { optimizer: { kind: 'adamw', weightDecay: 0.1 } },
      { optimizer: { kind: 'adamw', beta1: 0.9, beta2: 0.99, epsilon: 1e-7, weightDecay: 0.1 } },
    ],
    ['the end of the schedule', { schedule: { finalFraction: 0.2 } }, { schedule: { kind: 'cosine', warmupSteps: 2, finalFraction: 0.2 } }],
    ['the kind of schedule', { schedule: { kind: 'constant' } }, { schedule: { kind: 'constant', warmupSteps: 2 } }],
    ['what is taken away', { clipNorm: null, emaDecay: null }, { clipNorm: null, emaDecay: null }],
    ['one range of the augmentation', { augmentation: { contrast: 0.5 } }, { augmentation: { rotationDegrees: 7, contrast: 0.5 } }],
    ['all ranges, by a preset', { augmentation: { preset: 'none' } }, { augmentation: { rotationDegrees: 0, contrast: 0 } }],
    ['the seed, between epochs', { seed: 9 }, { seed: 9 }],
    ['micro-batches that make as many steps', { microBatchSize: 2 }, { microBatchSize: 2 }],
    ['the end', { epochs: 3 }, { epochs: 3 }],
    ['its own variant', { variant: 'efficientnet-b0' }, { variant: 'B0' }],
  ])('%s', (_what, overrides, expected) => {
    const from = source(10, {
      ...{ optimizer: { kind: 'adam', beta2: 0.99 }, schedule: { kind: 'cosine', warmupSteps: 2 }, clipNorm: 1, emaDecay: 0.9 },
      augmentation: { preset: 'light' },
    });
    const forked = forkRecipe(from, overrides);
    expect(forked).toMatchObject(expected);
    const untouched = Object.keys(from.recipe).filter((field) => !(field in expected));
    for (const field of untouched)
      expect(Object.entries(forked)).toContainEqual(Object.entries(from.recipe).find(([name]) => name === field));
  });
});

describe('what would make the checkpoint mean something else is refused with value, rule and fix', () => {
  test.each<[string, ForkSource, RecipeOverrides, string, RegExp]>([
    ['another network', source(), { variant: 'B3' }, 'variant', /B3 cannot go on with the weights of B0 .* start a new run of B3/],
    ['another memory', source(), { optimizer: { kind: 'sgd' } }, 'optimizer.kind', /sgd cannot go on with what adam .* Use adam or adamw/],
    [
      'another number of steps per epoch',
      source(),
      { globalBatchSize: 16 },
      'globalBatchSize',
      /16 makes 3 steps of an epoch of 40 images; step 10 .* counted with 5\. Keep 8/,
    ],
    ['another seed inside an epoch', source(12), { seed: 9 }, 'seed', /9 deals the images .* \(step 12, epochs of 5\): .* Keep 3, or fork/],
    ['another past', source(), { freeze: { until: 'head', epochs: 1 } }, 'freeze', /5 of the 10 steps .* Keep until "none", epochs 0/],
    [
      'an earlier release than there was',
      source(10, { freeze: { until: 'head', epochs: 3 } }),
      { freeze: { epochs: 1 } },
      'freeze',
      /freezes 5 of the 10 .* 10 were frozen\. Freeze at least 2 epochs/,
    ],
    ['nothing left', source(), { epochs: 2 }, 'epochs', /2 epochs of 5 steps end at step 10, .* step 10: .* at least 3/],
    ['nothing left from the start', source(20), {}, 'epochs', /Use at least 5/],
    ['a broken rule of recipes', source(), { learningRate: -1 }, 'learningRate', /must be above 0/],
    ['a field of another kind', source(), { optimizer: { momentum: 0.9 } }, 'optimizer', /momentum 0.9 does not belong/],
  ])('%s', (_what, from, overrides, field, message) => {
    expect(refusal(from, overrides)).toEqual({ [`overrides.${field}`]: expect.stringMatching(message) });
  });

  test('all that is wrong is told at once', () => {
    expect(Object.keys(refusal(source(12), { seed: 1, optimizer: { kind: 'sgd' }, epochs: 2 }))).toEqual([
      'overrides.optimizer.kind',
      'overrides.seed',
      'overrides.epochs',
    ]);
  });
});

test('frozen layers can be let go now, or later than planned', () => {
  const from = source(10, { freeze: { until: 'head', epochs: 3 } });
  expect(forkRecipe(from, { freeze: { epochs: 2 } }).freeze).toEqual({ until: 'head', epochs: 2 });
  expect(forkRecipe(from, { freeze: { epochs: 4 } }).freeze.epochs).toBe(4);
});
