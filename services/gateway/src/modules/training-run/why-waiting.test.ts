import { expect, test } from 'vitest';
import type { RunWait } from '@roentgen/domain';
import { newId } from '@roentgen/domain';
import { whyWaiting } from './why-waiting.js';

const run = { id: newId('run'), status: 'QUEUED', statusMessage: null, retryAt: null, isOwned: true, wait: null } as const;
const wait: RunWait = {
  code: 'WORKERS_BUSY',
  message: 'All workers that it can go to are busy: gpu-1 trains another run.',
  workers: [{ workerId: newId('wkr'), name: 'gpu-1', code: 'BUSY', message: 'trains another run.' }],
};

test('what the scheduler decided is told as it was stored', () => {
  expect(whyWaiting({ ...run, wait }, null)).toEqual({ ...wait, until: null });
  expect(whyWaiting(run, null)).toMatchObject({ code: 'NOT_LOOKED_AT' });
});

test('what the scheduler decided long ago is not told: nobody owns the run now, or it has to wait for its next try anyway', () => {
  expect(whyWaiting({ ...run, wait, isOwned: false }, null)).toMatchObject({ code: 'NO_COORDINATOR', workers: [] });
  const retryAt = '2026-01-01T00:00:30.000Z';
  expect(whyWaiting({ ...run, wait, retryAt, statusMessage: 'The object store was away.' }, null)).toEqual({
    ...{ code: 'BACKING_OFF', until: retryAt, workers: [] },
    message: `The object store was away. It is tried again at ${retryAt}.`,
  });
});

test('who paused it, and whom a pause waits for', () => {
  expect(whyWaiting({ ...run, status: 'PAUSED', statusMessage: 'Paused by token "ops".' }, null)).toMatchObject({
    code: 'PAUSED',
    message: 'Paused by token "ops". resumeTrainingRun queues it again.',
  });
  expect(whyWaiting({ ...run, status: 'PAUSING', statusMessage: 'Paused by token "ops".' }, 'gpu-1')).toMatchObject({
    code: 'WORKER_LEAVING',
    message: expect.stringMatching(/^Paused by token "ops"\. Worker gpu-1 ends its step/),
  });
  expect(whyWaiting({ ...run, status: 'CANCELLING' }, null)?.message).toMatch(/^It is to cancel\. Its worker/);
});

test('what its worker waits for while it holds the run', () => {
  const full: RunWait = { code: 'STORE_FULL', message: 'The object store has no room.', workers: [] };
  expect(whyWaiting({ ...run, status: 'RUNNING', wait: full }, 'gpu-1')).toEqual({ ...full, until: null });
  expect(whyWaiting({ ...run, status: 'SUCCEEDED', wait: full }, null)).toBeNull();
});

test.each(['PREPARING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const)('a run that is %s does not wait', (status) => {
  expect(whyWaiting({ ...run, status, wait }, 'gpu-1')).toBeNull();
});
