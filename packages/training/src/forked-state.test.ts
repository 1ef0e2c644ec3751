import { parseTrainingRecipe } from '@roentgen/domain';
import { REFERENCE_CONVENTIONS } from '@roentgen/efficientnet';
import { expect, test } from 'vitest';
import type { TrainingCheckpoint } from './checkpoint.js';
import { CheckpointError } from './errors.js';
import { stateFor } from './forked-state.js';
import { FIRST_LOSS_SCALING } from './loss-scaling.js';

/** A checkpoint of that recipe; only names and identities of its vectors matter here. */
function checkpointOf(recipe: object, ema: Float32Array | null = null): TrainingCheckpoint {
  const parsed = parseTrainingRecipe(recipe);
  const slots: Record<string, Float32Array> =
    parsed.optimizer.kind === 'sgd' ? { momentum: Float32Array.of(4) } : { m: Float32Array.of(2), v: Float32Array.of(3) };
  return {
    description: {
      format: 'roentgen-checkpoint/1',
      variant: parsed.variant,
      imageSizePx: parsed.imageSizePx,
      classes: ['a', 'b'],
      recipe: parsed,
      epoch: 1,
      step: 5,
      layoutHash: '0'.repeat(64),
      conventions: REFERENCE_CONVENTIONS,
      metrics: null,
      tensors: { sha256: '0'.repeat(64), bytes: 1 },
    },
    state: {
      weights: Float32Array.of(1),
      slots,
      ema,
      statistics: Float32Array.of(5),
      lossScaling: parsed.precision === 'fp16' ? { ...FIRST_LOSS_SCALING, skippedSteps: 2 } : null,
    },
  };
}

test('a run with the recipe of the checkpoint goes on with the very vectors', () => {
  const ema = { emaDecay: 0.9, precision: 'fp16' };
  const checkpoint = checkpointOf(ema, Float32Array.of(9));
  const state = stateFor(parseTrainingRecipe(ema), checkpoint);
  expect(state).toEqual(checkpoint.state);
  expect(state.ema).toBe(checkpoint.state.ema);
  expect(state.slots['m']).toBe(checkpoint.state.slots['m']);
});

test('AdamW goes on with the moments of Adam; SGD cannot', () => {
  const checkpoint = checkpointOf({});
  expect(stateFor(parseTrainingRecipe({ optimizer: { kind: 'adamw' } }), checkpoint).slots).toBe(checkpoint.state.slots);
  expect(() => stateFor(parseTrainingRecipe({ optimizer: { kind: 'sgd' } }), checkpoint)).toThrow(
    /memory of adam \(m, v\), sgd has momentum/,
  );
});

test('a moving average that is new starts with the weights as they are, one that is not wanted is left', () => {
  const without = checkpointOf({});
  expect(stateFor(parseTrainingRecipe({ emaDecay: 0.9 }), without).ema).toBe(without.state.weights);
  expect(stateFor(parseTrainingRecipe({}), checkpointOf({ emaDecay: 0.9 }, Float32Array.of(9))).ema).toBeNull();
});

test('a loss scale stays with fp16 and goes with it', () => {
  expect(stateFor(parseTrainingRecipe({ precision: 'bf16' }), checkpointOf({ precision: 'fp16' })).lossScaling).toBeNull();
  expect(stateFor(parseTrainingRecipe({ precision: 'fp16' }), checkpointOf({})).lossScaling).toBeNull();
});

test('weights of another network are refused', () => {
  expect(() => stateFor(parseTrainingRecipe({ variant: 'B3' }), checkpointOf({}))).toThrow(CheckpointError);
});
