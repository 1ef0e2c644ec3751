import { expect, test } from 'vitest';
import { InvalidInputError, RoentgenError } from '@roentgen/domain';
import { NonFiniteLossError } from '@roentgen/training';
import { failureOf, workerStopping } from './failure.js';

const progress = { epoch: 2, step: 41, lastCheckpoint: { checkpointId: 'ckp_1', epoch: 1, step: 30 } };

class SessionError extends RoentgenError {
  readonly code = 'SESSION_FAILED';
}

test('a loss that is not finite keeps its step and the last good checkpoint', () => {
  const error = new NonFiniteLossError('in step 42 the loss is NaN', {
    step: 42,
    epoch: 2,
    loss: 'NaN',
    lastCheckpoint: progress.lastCheckpoint,
  });
  expect(failureOf(error, progress)).toEqual({
    code: 'NON_FINITE_LOSS',
    message: 'in step 42 the loss is NaN',
    details: { step: 42, epoch: 2, loss: 'NaN', lastCheckpoint: progress.lastCheckpoint },
  });
});

test.each([
  new SessionError('OOM when allocating tensor with shape[512,112,112,96] and type float on /device:GPU:0'),
  new SessionError('RESOURCE_EXHAUSTED: failed to allocate memory'),
  new SessionError(
    'endpoint "gradients" failed in TensorFlow: Operation received an exception:Status: 1, message: could not create a primitive',
  ),
  new RangeError('Array buffer allocation failed'),
  new RangeError('WebAssembly.Memory(): could not allocate memory'),
])('memory that does not suffice is named as such: %s', (error) => {
  expect(failureOf(error, progress)).toMatchObject({ code: 'OUT_OF_MEMORY', details: { step: 41 } });
});

test('a recipe that does not fit the data is an error of the configuration, which keeps its own name', () => {
  expect(failureOf(new InvalidInputError('microBatchSize 64 is more than the 12 images'), progress)).toMatchObject({
    code: 'CONFIG_ERROR',
    details: { cause: 'INVALID_INPUT' },
  });
});

test('what nobody thought of keeps where the run stood', () => {
  expect(failureOf(new TypeError('x is undefined'), progress)).toMatchObject({
    code: 'INTERNAL',
    message: 'x is undefined',
    details: progress,
  });
});

test('a worker that goes away says where the run can go on', () => {
  expect(workerStopping(progress)).toMatchObject({ code: 'WORKER_STOPPING', message: expect.stringContaining('ckp_1'), details: progress });
});
