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
  progressCounter: 0,
  startedAt: '2026-01-01T00:00:00.000Z',
  residentBytes: 1,
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

test('each heartbeat is written down once', () => {
  const registry = new WorkerRegistry(5_000, { now: () => new Date(0) });
  registry.heard(heartbeat('a'));
  expect(registry.takeChanged().map((c) => c.heartbeat.name)).toEqual(['a']);
  expect(registry.takeChanged()).toEqual([]);
});
