import { expect, test } from 'vitest';
import { InvalidRecipeError } from './errors.js';
import { checkRecipe, parseRecipe } from './recipe.js';

const issuesOf = (input: unknown) => {
  const check = checkRecipe(input);
  return check.ok ? [] : check.issues;
};

test('an empty recipe is the default one; size and dropout follow the variant', () => {
  expect(parseRecipe({})).toMatchObject({
    variant: 'B0',
    imageSizePx: 224,
    dropoutRate: 0.2,
    optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999 },
  });
  expect(parseRecipe({ variant: 'efficientnet-b3' })).toMatchObject({ variant: 'B3', imageSizePx: 300, dropoutRate: 0.3 });
  expect(parseRecipe({ variant: 'b3', imageSizePx: 128, dropoutRate: 0 })).toMatchObject({ imageSizePx: 128, dropoutRate: 0 });
});

test('a recipe survives a round trip through JSON', () => {
  const recipe = parseRecipe({ variant: 'B1', schedule: { kind: 'constant' } });
  expect(parseRecipe(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
});

test('a batch that does not divide is answered with the batches that would', () => {
  expect(issuesOf({ globalBatchSize: 50, microBatchSize: 16 })).toEqual([
    {
      field: 'globalBatchSize',
      message:
        'globalBatchSize 50 is not divisible by microBatchSize 16: every step must consist of whole micro-batches. Use 48 or 64, or set microBatchSize to 10 or 25.',
    },
  ]);
  expect(issuesOf({ globalBatchSize: 4, microBatchSize: 8 })[0]?.message).toContain('Use 8, or set microBatchSize to 4.');
});

test('every problem is reported at once, each with its field', () => {
  const issues = issuesOf({
    variant: 'B9',
    epochs: 0,
    globalBatchSize: 50,
    microBatchSize: 16,
    optimizer: { kind: 'sgd' },
    learningRat: 1,
  });
  expect(issues.map(({ field }) => field).sort()).toEqual(['epochs', 'globalBatchSize', 'optimizer.kind', 'recipe', 'variant']);
  expect(issues.find(({ field }) => field === 'variant')?.message).toContain('Known ones: B0, B1');
  expect(issues.find(({ field }) => field === 'epochs')?.message).toBe('epochs 0 is not allowed: Too small: expected number to be >=1.');
  expect(issues.find(({ field }) => field === 'recipe')?.message).toContain('"learningRat"');
});

test('parseRecipe throws the same list', () => {
  expect(() => parseRecipe({ learningRate: -1 })).toThrow(InvalidRecipeError);
  expect(() => parseRecipe('B0')).toThrow(/recipe "B0" is not allowed/);
});

test('batch statistics need more than one image', () => {
  expect(issuesOf({ globalBatchSize: 4, microBatchSize: 1 })[0]?.field).toBe('microBatchSize');
  expect(issuesOf({ globalBatchSize: 4, microBatchSize: 1, batchNorm: 'frozen' })).toEqual([]);
});
