import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import type { AttemptEvent } from '../rpc.js';
import { SharedControl, type StopReason } from '../shared-control.js';
import { AttemptReport } from './attempt-report.js';

const checkpoint = { checkpointId: newId('ckp'), epoch: 1, step: 30 };

function report(stop: StopReason = 'NONE') {
  const control = new SharedControl();
  control.requestStop(stop);
  const events: AttemptEvent[] = [];
  const attempt = new AttemptReport({ report: (event) => Promise.resolve(void events.push(event)) }, control);
  attempt.resumedFrom(checkpoint);
  return { attempt, events, control };
}

test('an attempt that fails says why, where, and from which checkpoint the run can go on', async () => {
  const { attempt, events } = report();
  await attempt.failed(new Error('x is undefined'));
  expect(events).toMatchObject([
    { kind: 'ATTEMPT_FAILED', epoch: 1, step: 30, failure: { code: 'INTERNAL', details: { step: 30, lastCheckpoint: checkpoint } } },
  ]);
});

test('an attempt that was asked to leave ends as what it was asked for', async () => {
  const cancelled = report('CANCEL');
  await cancelled.attempt.stopped();
  expect(cancelled.events).toMatchObject([{ kind: 'RUN_CANCELLED', step: 30 }]);
  const paused = report('PAUSE');
  await paused.attempt.stopped();
  expect(paused.events).toMatchObject([{ kind: 'RUN_PAUSED', step: 30 }]);
  const stopping = report('STOPPING');
  await stopping.attempt.stopped();
  expect(stopping.events).toMatchObject([{ kind: 'ATTEMPT_FAILED', failure: { code: 'WORKER_STOPPING' } }]);
});

test('an error on the way out does not turn a cancelled run into a failed one', async () => {
  const { attempt, events } = report('CANCEL');
  await attempt.failed(new Error('the object store is away'));
  expect(events.map(({ kind }) => kind)).toEqual(['RUN_CANCELLED']);
});

test('nothing is said for an attempt that another worker has', async () => {
  const { attempt, events } = report('ABANDON');
  await attempt.stopped();
  await attempt.failed(new Error('the images are not loaded any more'));
  expect(events).toEqual([]);
});

test('a stop that weighs more overrules one that weighs less, and not the other way round', () => {
  const { control } = report('CANCEL');
  control.requestStop('ABANDON');
  control.requestStop('STOPPING');
  expect(control.stopReason).toBe('ABANDON');
  control.clearStop();
  expect(control.stopReason).toBe('NONE');
});

test('each event of the loop counts as progress', async () => {
  const { attempt, control } = report();
  await attempt.training({ type: 'epoch-started', epoch: 2, epochs: 5, step: 30, stepsPerEpoch: 30, leftOutSamples: [] });
  expect(control.progress).toBe(1);
});
