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

test('each optimiser has its own fields and defaults', () => {
  const optimizer = (input: object) => parseTrainingRecipe({ optimizer: input }).optimizer;
  expect(optimizer({ kind: 'adam' })).toEqual({ kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 });
  expect(optimizer({ kind: 'adamw', weightDecay: 0.05 })).toMatchObject({ kind: 'adamw', epsilon: 1e-8, weightDecay: 0.05 });
  expect(optimizer({ kind: 'sgd' })).toEqual({ kind: 'sgd', momentum: 0.9, nesterov: true });
});

test('a recipe that was stored when Adam was the only optimiser is still valid', () => {
  const optimizer = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };
  expect(parseTrainingRecipe({ optimizer, schedule: { kind: 'cosine', warmupSteps: 7 } })).toMatchObject({
    optimizer,
    schedule: { kind: 'cosine', warmupSteps: 7, finalFraction: 0 },
    clipNorm: null,
    emaDecay: null,
    classWeights: 'none',
    freeze: { until: 'none', epochs: 0 },
  });
});

test.each([
  [
    { optimizer: { kind: 'adam', weightDecay: 0.02 } },
    'weightDecay 0.02 does not belong to optimizer kind "adam": leave it out, or use kind "adamw"',
  ],
  [
    { optimizer: { kind: 'sgd', beta1: 0.5 } },
    'beta1 0.5 does not belong to optimizer kind "sgd": leave it out, or use kind "adam" or "adamw"',
  ],
  [{ optimizer: { kind: 'rmsprop' } }, 'unknown optimizer kind "rmsprop": use one of adam, adamw, sgd'],
  [
    { schedule: { kind: 'constant', finalFraction: 0.1 } },
    'finalFraction 0.1 does not belong to schedule kind "constant": leave it out, or use kind "cosine" or "exponential"',
  ],
  [{ schedule: { kind: 'exponential', finalFraction: 0 } }, '0 must be at least 0.000001; use a number from 0.000001 to 1'],
  [{ optimizer: { kind: 'adamw', weightDecay: 2 } }, '2 must be at most 1; use a number from 0 to 1'],
  [{ clipNorm: 0 }, 'recipe.clipNorm: 0 must be at least 0.000001'],
  [{ emaDecay: 1 }, 'recipe.emaDecay: 1 must be at most 0.99999'],
  [{ precision: 'fp8' }, 'unknown precision "fp8": use fp32, bf16 or fp16'],
  [{ classWeights: 'sqrt' }, 'unknown classWeights "sqrt": use none or balanced'],
  [{ freeze: { until: 'none', epochs: 3 } }, 'epochs 3 freeze nothing with until "none": use until "head", or epochs 0'],
])('%j is refused with value, rule and fix', (input, message) => {
  expect(() => parseTrainingRecipe(input)).toThrow(message);
});
