import { expect, test } from 'vitest';
import { forkOverrides } from './runs.js';

test('a fork changes what its flags say and nothing else', () => {
  // Commander says true where neither --clip-norm nor --no-clip-norm was given.
  expect(forkOverrides({ clipNorm: true, emaDecay: true, layerDecay: true, checkpoint: 'best', name: 'x', watch: true })).toEqual({});
  expect(forkOverrides({ epochs: 9, learningRate: 1e-4, batchNorm: 'frozen', dropoutRate: 0, warmupSteps: 0, weightDecay: 0.1 })).toEqual({
    ...{
      epochs: 9,
      learningRate: 1e-4,
      batchNorm: 'FROZEN',
      dropoutRate: 0,
      schedule: { warmupSteps: 0 },
      optimizer: { weightDecay: 0.1 },
    },
  });
});

test('what a --no- flag names is taken away, which is not the same as left', () => {
  expect(forkOverrides({ clipNorm: false, emaDecay: false, layerDecay: false })).toEqual({
    clipNorm: null,
    emaDecay: null,
    layerDecay: null,
  });
  expect(forkOverrides({ clipNorm: 2, emaDecay: 0.9, layerDecay: 0.8 })).toEqual({ clipNorm: 2, emaDecay: 0.9, layerDecay: 0.8 });
});
