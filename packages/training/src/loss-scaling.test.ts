import { expect, test } from 'vitest';
import { FIRST_LOSS_SCALING, LEAST_SCALE, afterOverflow, afterUpdate, decodeLossScaling, encodeLossScaling } from './loss-scaling.js';

test('an overflow halves the scale, down to no scaling at all, and counts as a step without an update', () => {
  expect(afterOverflow({ scale: 1024, steadySteps: 7, skippedSteps: 2 })).toEqual({ scale: 512, steadySteps: 0, skippedSteps: 3 });
  expect(afterOverflow({ scale: LEAST_SCALE, steadySteps: 0, skippedSteps: 0 }).scale).toBe(LEAST_SCALE);
});

test('two thousand steps without an overflow double the scale, up to 2²⁴', () => {
  let scaling = afterOverflow(FIRST_LOSS_SCALING);
  const { scale } = scaling;
  for (let step = 0; step < 1999; step++) scaling = afterUpdate(scaling);
  expect(scaling).toEqual({ scale, steadySteps: 1999, skippedSteps: 1 });
  expect(afterUpdate(scaling)).toEqual({ scale: 2 * scale, steadySteps: 0, skippedSteps: 1 });
  expect(afterUpdate({ scale: 2 ** 24, steadySteps: 1999, skippedSteps: 0 }).scale).toBe(2 ** 24);
});

test('it survives a checkpoint, and what is none is refused', () => {
  const scaling = { scale: 4096, steadySteps: 1234, skippedSteps: 5 };
  expect(decodeLossScaling(encodeLossScaling(scaling))).toEqual(scaling);
  for (const wrong of [
    [3, 0, 0],
    [0, 0, 0],
    [NaN, 0, 0],
    [2 ** 25, 0, 0],
    [4, -1, 0],
    [4, 0, 0.5],
    [4, 0],
    [4, 0, 0, 0],
  ])
    expect(() => decodeLossScaling(Float32Array.from(wrong))).toThrow('is no loss scaling');
});
