import { expect, test } from 'vitest';
import type { WorkerRecord } from '@roentgen/database';
import { newId } from '@roentgen/domain';
import { whyIdle } from './why-idle.js';

const worker = (more: Partial<WorkerRecord> = {}): WorkerRecord => ({
  id: newId('wkr'),
  name: 'gpu-1',
  version: '1',
  device: 'cpu',
  deviceName: 'none',
  state: 'IDLE',
  online: true,
  runId: null,
  residentBytes: 0,
  startedAt: '2026-01-01T00:00:00.000Z',
  lastSeenAt: '2026-01-01T00:01:00.000Z',
  memoryBudgetBytes: null,
  intraOpThreads: 0,
  interOpThreads: 0,
  xla: false,
  deterministicOps: false,
  ineligibleReason: null,
  selftest: null,
  drainedAt: null,
  setAsideUntil: null,
  setAsideReason: null,
  attemptRunning: false,
  queuedRuns: 0,
  holds: [],
  ...more,
});

test.each<[string, Partial<WorkerRecord>, RegExp | null]>([
  ['works', { state: 'TRAINING' }, null],
  ['was just given a run', { attemptRunning: true }, null],
  ['is gone', { online: false, state: 'TRAINING' }, /not been heard since 2026-01-01T00:01/],
  ['was drained', { drainedAt: '2026-01-01T00:00:30.000Z', queuedRuns: 1 }, /drained.*readmitWorker/],
  [
    'is set aside',
    { setAsideUntil: 'later', setAsideReason: '3 different runs failed.', queuedRuns: 1 },
    /until later: 3 different.*readmitWorker/,
  ],
  ['failed its self-test', { ineligibleReason: 'its self-test failed', queuedRuns: 1 }, /takes no work: its self-test failed/],
  ['gets nothing although runs wait', { queuedRuns: 2 }, /no coordinator/],
  ['has nothing to do', {}, /nothing to do/],
])('a worker that %s', (_what, more, expected) => {
  if (expected === null) expect(whyIdle(worker(more))).toBeNull();
  else expect(whyIdle(worker(more))).toMatch(expected);
});
