import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import { WorkerRegistry, type Heartbeat } from './worker-registry.js';

const heartbeat = (name: string): Heartbeat => ({
  workerId: newId('wkr'),
  name,
  version: '0',
  device: 'cpu',
  deviceName: 'cpu',
  state: 'IDLE',
  holding: null,
  waiting: null,
  chunks: [],
  progressCounter: 0,
  startedAt: '2026-01-01T00:00:00.000Z',
  residentBytes: 1,
  runtime: null,
});

test('a worker is alive until it has been silent for longer than the limit', () => {
  let nowMs = 0;
  const registry = new WorkerRegistry(5_000, { now: () => new Date(nowMs) });
  registry.heard(heartbeat('b'));
  nowMs = 4_000;
  registry.heard(heartbeat('a'));
  nowMs = 5_000;
  expect(registry.alive().map((w) => w.name)).toEqual(['a', 'b']);
  nowMs = 5_001;
  expect(registry.alive().map((w) => w.name)).toEqual(['a']);
});

test('silence tells something only after listening for longer than the limit without a break', () => {
  let nowMs = 0;
  const registry = new WorkerRegistry(5_000, { now: () => new Date(nowMs) });
  nowMs = 5_001;
  expect(registry.knowsWhoIsSilent).toBe(true);
  registry.listenAnew();
  expect([registry.knowsWhoIsSilent, registry.listeningSinceMs]).toEqual([false, 5_001]);
  nowMs = 10_002;
  expect(registry.knowsWhoIsSilent).toBe(true);
});

test('a worker that refused an offer rests for a while', () => {
  const registry = new WorkerRegistry(5_000, { now: () => new Date(1_000) });
  const worker = heartbeat('a');
  registry.heard(worker);
  expect(registry.alive()[0]?.restsUntilMs).toBe(0);
  registry.refused(worker.workerId);
  expect(registry.alive()[0]?.restsUntilMs).toBe(6_000);
});

test('each heartbeat is written down once', () => {
  const registry = new WorkerRegistry(5_000, { now: () => new Date(0) });
  registry.heard(heartbeat('a'));
  expect(registry.takeChanged().map((c) => c.heartbeat.name)).toEqual(['a']);
  expect(registry.takeChanged()).toEqual([]);
});
