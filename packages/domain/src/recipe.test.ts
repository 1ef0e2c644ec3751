import { expect, test } from 'vitest';
import { InvalidRecipeError, checkTrainingRecipe, parseTrainingRecipe } from './recipe.js';

test('an empty recipe is the default one', () => {
  expect(parseTrainingRecipe({})).toMatchObject({
    variant: 'B0',
    imageSizePx: 224,
    globalBatchSize: 16,
    microBatchSize: 16,
    batchNorm: 'batch',
  });
});

test('a variant may be written as people write it', () => {
  for (const variant of ['b3', 'B3', 'efficientnet-b3', 'EfficientNetB3']) expect(parseTrainingRecipe({ variant }).variant).toBe('B3');
  for (const variant of ['lite0', 'Lite0', 'LITE0', 'efficientnet-lite0', 'EfficientNetLite0'])
    expect(parseTrainingRecipe({ variant }).variant).toBe('Lite0');
});

test('every issue is told at once, with value, rule and fix', () => {
  const checked = checkTrainingRecipe({ variant: 'b9', globalBatchSize: 50, microBatchSize: 16, epochs: 0 });
  expect(checked.ok).toBe(false);
  if (checked.ok) return;
  expect(checked.issues.map((i) => i.field)).toEqual(['recipe.variant', 'recipe.epochs', 'recipe.globalBatchSize']);
  expect(checked.issues[0]?.message).toContain('unknown EfficientNet variant "b9": use one of B0, B1');
});

test('a batch size that does not divide names the neighbours that would', () => {
  expect(() => parseTrainingRecipe({ globalBatchSize: 50, microBatchSize: 16 })).toThrow(InvalidRecipeError);
  expect(() => parseTrainingRecipe({ globalBatchSize: 50, microBatchSize: 16 })).toThrow(
    'Use 48 or 64, or set microBatchSize to 10 or 25.',
  );
});

test('batch statistics need more than one image', () => {
  const one = { globalBatchSize: 4, microBatchSize: 1 };
  expect(() => parseTrainingRecipe(one)).toThrow('microBatchSize 1 is too small for batchNorm "batch"');
  expect(parseTrainingRecipe({ ...one, batchNorm: 'frozen' })).toMatchObject(one);
});
