import { ApiError, FailedError, MutationError, TransferError, UnreachableError } from '@roentgen/client';
import { expect, test } from 'vitest';
import { failureOf, InterruptedError, UsageError } from './failure.js';

test.each([
  [new UsageError('no such folder'), 2],
  [new MutationError('INVALID_RECIPE', 'epochs', [{ field: 'recipe.epochs', message: 'must be at least 1' }]), 2],
  [new ApiError('NOT_FOUND', 'no such run'), 2],
  [new ApiError('UNAUTHENTICATED', 'unknown token'), 3],
  [new ApiError('FORBIDDEN', 'takes trainer'), 3],
  [new UnreachableError('connection refused'), 3],
  [new FailedError('NON_FINITE_LOSS', 'step 7'), 4],
  [new ApiError('INTERNAL', 'see the log', 'r-1'), 1],
  [new TransferError('HTTP 403'), 1],
  [new Error('anything else'), 1],
  ['not even an error', 1],
  [new InterruptedError('Ctrl-C'), 130],
  [new DOMException('aborted', 'AbortError'), 130],
])('%s ends with exit code %i', (error, exitCode) => expect(failureOf(error).exitCode).toBe(exitCode));

test('what was wrong with the input and the request id are kept', () => {
  expect(failureOf(new MutationError('INVALID_RECIPE', 'epochs', [{ field: 'recipe.epochs', message: 'too few' }])).issues).toEqual([
    { field: 'recipe.epochs', message: 'too few' },
  ]);
  expect(failureOf(new ApiError('INTERNAL', 'see the log', 'r-1'))).toMatchObject({ code: 'INTERNAL', requestId: 'r-1' });
});
