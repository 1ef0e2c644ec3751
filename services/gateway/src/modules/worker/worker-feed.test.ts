import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { WorkerRecord } from '@roentgen/database';
import { newId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { WorkerFeed, type WorkersChange } from './worker-feed.js';

const POLL_MS = 1_000;
const project = newId('prj');
const worker = (name: string, more: Partial<WorkerRecord> = {}): WorkerRecord => ({
  ...{
    id: newId('wkr'),
    name,
    version: '1',
    device: 'cpu',
    deviceName: 'none',
    state: 'IDLE',
    online: true,
    runId: null,
    residentBytes: 1,
  },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', lastSeenAt: '2026-01-01T00:01:00.000Z', memoryBudgetBytes: null, intraOpThreads: 0 },
  ...{
    interOpThreads: 0,
    xla: false,
    deterministicOps: false,
    ineligibleReason: null,
    selftest: null,
    drainedAt: null,
    setAsideUntil: null,
  },
  ...{ setAsideReason: null, attemptRunning: false, queuedRuns: 0, holds: [] },
  ...more,
});

let rows: WorkerRecord[];
let reads: number;
let feed: WorkerFeed;

beforeEach(() => {
  vi.useFakeTimers();
  [rows, reads] = [[], 0];
  feed = new WorkerFeed(
    () => {
      reads++;
      return Promise.resolve(rows);
    },
    silentLogger,
    POLL_MS,
  );
});
afterEach(async () => {
  await feed.close();
  vi.useRealTimers();
});

const poll = () => vi.advanceTimersByTimeAsync(POLL_MS);
const said = ({ value }: IteratorResult<WorkersChange, undefined>) =>
  value && { snapshot: value.snapshot, workers: value.workers.map(({ name, state }) => `${name} ${state}`), gone: value.gone.length };

test('a subscriber is given all workers first, then those that changed', async () => {
  const [a, b] = [worker('a'), worker('b')];
  rows = [a, b];
  const changes = feed.subscribe(project);
  expect(said(await changes.next())).toEqual({ snapshot: true, workers: ['a IDLE', 'b IDLE'], gone: 0 });
  const next = changes.next();
  await poll();
  rows = [a, { ...b, state: 'TRAINING' }];
  await poll();
  expect(said(await next)).toEqual({ snapshot: false, workers: ['b TRAINING'], gone: 0 });
  const last = changes.next();
  rows = [rows[1] ?? b];
  await poll();
  expect(said(await last)).toEqual({ snapshot: false, workers: [], gone: 1 });
});

test('heartbeats alone are no change; a worker that falls silent is', async () => {
  const a = worker('a');
  rows = [a];
  const changes = feed.subscribe(project);
  await changes.next();
  const next = changes.next();
  const heard = vi.fn();
  void next.then(heard);
  rows = [{ ...a, lastSeenAt: '2026-01-01T00:02:00.000Z', residentBytes: 2 }];
  await poll();
  expect(heard).not.toHaveBeenCalled();
  rows = [{ ...a, online: false }];
  await poll();
  expect((await next).value).toMatchObject({ workers: [{ online: false }] });
});

test('who is slow is given the newest state of what changed, and not what came and went', async () => {
  const [a, b] = [worker('a'), worker('b')];
  rows = [a, b];
  const changes = feed.subscribe(project);
  await changes.next();
  for (const state of ['TRAINING', 'IDLE', 'PREDICTING']) {
    rows = [{ ...a, state }, state === 'TRAINING' ? { ...b, state } : b];
    await poll();
  }
  expect(said(await changes.next())).toEqual({ snapshot: false, workers: ['a PREDICTING'], gone: 0 });
});

test('many subscribers of a project cost one query, and none once they have gone', async () => {
  const many = Array.from({ length: 5 }, () => feed.subscribe(project));
  await Promise.all(many.map((changes) => changes.next()));
  await poll();
  expect(reads).toBe(2);
  const waiting = many.map((changes) => changes.next());
  await Promise.all(many.map((changes) => changes.return?.()));
  expect((await Promise.all(waiting)).every(({ done }) => done === true)).toBe(true);
  expect([feed.subscriberCount, vi.getTimerCount()]).toEqual([0, 0]);
});

test('an empty pool is a snapshot too, and a failed read is made good by the next', async () => {
  const failing = new WorkerFeed(vi.fn().mockRejectedValueOnce(new Error('away')).mockResolvedValue([]), silentLogger, POLL_MS);
  const first = failing.subscribe(project).next();
  await poll();
  expect(said(await first)).toEqual({ snapshot: true, workers: [], gone: 0 });
  await failing.close();
});
