import { expect, test } from 'vitest';
import { gpuOfWorker } from './gpus.js';

const dealt = (environment: Record<string, string>, gpuCount: number) =>
  [0, 1, 2].map((index) => gpuOfWorker(index, environment, gpuCount).WORKER_GPU ?? null);

test.each([
  ['no GPU', {}, 0, [null, null, null]],
  ['one GPU', {}, 1, [null, null, null]],
  ['two GPUs', {}, 2, ['0', '1', '0']],
  ['those that are visible', { CUDA_VISIBLE_DEVICES: '5, GPU-1' }, 8, ['5', 'GPU-1', '5']],
  ['none that is visible', { CUDA_VISIBLE_DEVICES: '-1' }, 8, [null, null, null]],
  ['one that is said', { WORKER_GPU: '3' }, 8, [null, null, null]],
])('workers of a machine with %s', (_what, environment, count, expected) => {
  expect(dealt(environment as Record<string, string>, count)).toEqual(expected);
});
