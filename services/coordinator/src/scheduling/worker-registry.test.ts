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

test('a worker makes progress when its counter moves, when it takes an attempt, and while it waits for others', () => {
  let nowMs = 0;
  const registry = new WorkerRegistry(5_000, { now: () => new Date(nowMs) });
  const attempt = () => ({ runId: newId('run'), attemptId: newId('att'), generation: 1, token: '0190f0a0-0000-4000-8000-000000000001' });
  const holding = attempt();
  const worker = { ...heartbeat('a'), holding };
  const progressAfter = (changed: Partial<Heartbeat>) => {
    nowMs += 1_000;
    registry.heard({ ...worker, ...changed });
    return registry.alive()[0]?.progressAtMs;
  };
  expect(progressAfter({})).toBe(1_000);
  expect(progressAfter({ residentBytes: 2 })).toBe(1_000);
  expect(progressAfter({ progressCounter: 1 })).toBe(3_000);
  expect(progressAfter({ progressCounter: 1 })).toBe(3_000);
  expect(progressAfter({ progressCounter: 1, waiting: { code: 'STORE_AWAY', message: 'no answer' } })).toBe(5_000);
  expect(progressAfter({ progressCounter: 1 })).toBe(5_000);
  expect(progressAfter({ progressCounter: 1, holding: attempt() })).toBe(7_000);
});
