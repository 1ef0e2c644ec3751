import { expect, test } from 'vitest';
import { AUGMENTATION_PRESETS } from './recipe-augmentation.js';
import { parseTrainingRecipe } from './recipe.js';

const augmentation = (input: object) => parseTrainingRecipe({ augmentation: input }).augmentation;

test('images are not changed unless the recipe says so', () => {
  expect(parseTrainingRecipe({}).augmentation).toEqual(AUGMENTATION_PRESETS.none);
  expect(augmentation({})).toEqual(AUGMENTATION_PRESETS.none);
});

test('ranges replace those of the preset', () => {
  expect(augmentation({ preset: 'light' })).toEqual(AUGMENTATION_PRESETS.light);
  expect(augmentation({ preset: 'light', rotationDegrees: 0, horizontalFlip: 0.25 })).toEqual({
    ...AUGMENTATION_PRESETS.light,
    rotationDegrees: 0,
    horizontalFlip: 0.25,
  });
  expect(augmentation({ shiftFraction: 0.1 })).toEqual({ ...AUGMENTATION_PRESETS.none, shiftFraction: 0.1 });
});

test('a recipe that was resolved is the same when it is parsed again', () => {
  const recipe = parseTrainingRecipe({ augmentation: { preset: 'light', brightness: 0.3 } });
  expect(parseTrainingRecipe(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
});

test('to flip is to flip every second image, also in a recipe that was stored when nothing else could be done', () => {
  expect(augmentation({ horizontalFlip: true }).horizontalFlip).toBe(0.5);
  expect(augmentation({ horizontalFlip: false }).horizontalFlip).toBe(0);
  expect(parseTrainingRecipe({ augment: { horizontalFlip: true } }).augmentation).toEqual({
    ...AUGMENTATION_PRESETS.none,
    horizontalFlip: 0.5,
  });
});

test.each([
  [{ rotationDegrees: 181 }, 'recipe.augmentation.rotationDegrees: 181 must be at most 180; use a number from 0 to 180'],
  [{ shiftFraction: -0.1 }, 'recipe.augmentation.shiftFraction: -0.1 must be at least 0; use a number from 0 to 0.5'],
  [{ scaleFraction: 1 }, 'recipe.augmentation.scaleFraction: 1 must be at most 0.5'],
  [{ horizontalFlip: 1.5 }, 'recipe.augmentation.horizontalFlip: 1.5 must be at most 1'],
  [{ brightness: 0.6 }, 'recipe.augmentation.brightness: 0.6 must be at most 0.5'],
  [{ contrast: 1 }, 'recipe.augmentation.contrast: 1 must be at most 0.9'],
  [{ preset: 'heavy' }, 'unknown augmentation.preset "heavy": use one of none, light'],
  [{ rotation: 5 }, 'augmentation has no rotation: use preset, rotationDegrees, horizontalFlip'],
])('%j is refused with value, rule and fix', (input, message) => {
  expect(() => augmentation(input)).toThrow(message);
});
