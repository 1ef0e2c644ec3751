import { EventEmitter, once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { RunLifecycleStore, WorkerStore, type Queryable } from '@roentgen/database';
import type { RunId } from '@roentgen/domain';
import { seedRun } from '../testkit/rows.js';
import { eventually, useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator();
const newRun = () => seedRun(harness.database, harness.seeded);
const generation = (runId: RunId) => harness.column(runId, 'generation');

/** What a process that was stopped in a transaction holds: nobody else can write that row until the lock is let go. */
async function stoppedWith(load: (tx: Queryable) => Promise<unknown>): Promise<() => Promise<void>> {
  const stopped = new EventEmitter();
  const over = once(stopped, 'goes on');
  const transaction = harness.database.transaction('stopped', async (tx) => {
    await load(tx);
    stopped.emit('holds it');
    await over;
  });
  await Promise.race([once(stopped, 'holds it'), transaction]);
  return async () => {
    stopped.emit('goes on');
    await transaction;
  };
}

function lock(runId: RunId): Promise<() => Promise<void>> {
  const lifecycle = new RunLifecycleStore(harness.events, 'gateway');
  return stoppedWith((tx) => lifecycle.load(tx, runId));
}

test('while a worker is locked by a process that was stopped, runs go to the others', async () => {
  const [drained, other] = [await harness.startWorker('a'), await harness.startWorker('b')];
  const workers = new WorkerStore(harness.database);
  await vi.waitFor(async () => expect(await workers.find(harness.seeded.projectId, drained.workerId, 60_000)).not.toBeNull(), eventually);
  drained.refusal = 'busy with a test';
  const unlock = await stoppedWith(async (tx) => {
    await workers.lock(tx, drained.workerId);
    await workers.setDrained(tx, drained.workerId, true);
  });
  try {
    const first = await newRun();
    expect(await other.nextOffer()).toMatchObject({ runId: first });
    // Its heartbeats are written down as before: that it holds the run, and since when it was last heard.
    const seen = async () => (await workers.find(harness.seeded.projectId, other.workerId, 60_000))?.lastSeenAt;
    const before = await seen();
    await vi.waitFor(async () => expect(await seen()).not.toBe(before), eventually);
  } finally {
    await unlock();
  }
});

test('while a run is locked by a process that was stopped, the others keep their owner and get workers', async () => {
  const [first, second] = [await harness.startWorker('a'), await harness.startWorker('b')];
  const locked = await newRun();
  const lost = await first.nextOffer();
  const other = await newRun();
  expect(await second.nextOffer()).toMatchObject({ runId: other });
  const unlock = await lock(locked);
  try {
    // It is to be written that its worker is lost, and that it has an owner; neither can be.
    first.silence();
    await vi.waitFor(async () => expect(await harness.column(locked, 'lease_until < now()')).toBe(true), eventually);
    const third = await harness.startWorker('c');
    const late = await newRun();
    expect(await third.nextOffer()).toMatchObject({ runId: late });
    expect([await generation(other), await harness.column(other, 'lease_until > now()')]).toEqual([1, true]);
    expect([await harness.status(locked), await generation(locked)]).toEqual(['PREPARING', 1]);
  } finally {
    await unlock();
  }
  await vi.waitFor(async () => expect(await harness.kinds(locked)).toContain('ATTEMPT_LOST'), eventually);
  expect((await harness.startWorker('d').then((worker) => worker.nextOffer())).runId).toBe(lost.runId);
  expect(await generation(other)).toBe(1);
});

test('a coordinator that ends does not wait for a run that is locked', async () => {
  const [locked, other] = [await newRun(), await newRun()];
  const owned = (runId: RunId) => harness.column(runId, 'lease_holder is not null');
  await vi.waitFor(async () => expect([await owned(locked), await owned(other)]).toEqual([true, true]), eventually);
  const unlock = await lock(locked);
  try {
    await harness.coordinator.close();
    expect([await owned(locked), await owned(other)]).toEqual([true, false]);
  } finally {
    await unlock();
  }
});
