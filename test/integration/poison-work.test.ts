import { expect, test, vi } from 'vitest';
import { uuidOf } from '@roentgen/domain';
import { RemoteError } from '@roentgen/messaging';
import { ChunkResult } from '@roentgen/protocol';
import { seedRun } from '../testkit/rows.js';
import { checkpointAt, claim, claimed, eventually, useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator();

test('a chunk stays with a worker that works on it for longer than its lease, and goes to another when that one is lost', async () => {
  const [busy, other] = [await harness.startWorker('busy'), await harness.startWorker('other')];
  const chunkId = await harness.seedInspectionChunk(1);
  const { token, leaseMs } = await claimed(busy, chunkId);
  busy.chunks = [{ chunkId, token }];
  const lease = async () => {
    const [row] = await harness.database.query(
      'read',
      'select token, extract(epoch from now() - created_at)::float8 * 1000 as age, lease_until > now() as valid from chunks where id = $1',
      [uuidOf(chunkId)],
    );
    return row as { token: string | null; age: number; valid: boolean };
  };
  await vi.waitFor(async () => expect((await lease()).age).toBeGreaterThan(3 * leaseMs), eventually);
  expect(await lease()).toMatchObject({ token, valid: true });
  expect(await claim(other, chunkId)).toMatchObject({ granted: false });
  busy.silence();
  expect((await claimed(other, chunkId)).token).not.toBe(token);
});

test.each(['STORE_FULL', 'UNAVAILABLE'])('a chunk is not given up for a store that is full or away (%s), however often', async (code) => {
  const worker = await harness.startWorker('waits');
  const chunkId = await harness.seedInspectionChunk(1);
  const outcome = { kind: 'failed' as const, code, message: 'The object store has no room.', retryable: true };
  for (let tries = 0; tries < 10; tries++) {
    const { token } = await claimed(worker, chunkId);
    await worker.bus.request(ChunkResult, [worker.workerId], { chunkId, token, outcome }, { timeoutMs: 5_000 });
  }
  const [row] = await harness.database.query('read', 'select status, claims from chunks where id = $1', [uuidOf(chunkId)]);
  expect(row).toEqual({ status: 'PENDING', claims: 0 });
});

test('a worker that no longer names a chunk loses it with the lease', async () => {
  const [forgetful, other] = [await harness.startWorker('forgetful'), await harness.startWorker('other')];
  const chunkId = await harness.seedInspectionChunk(1);
  await claimed(forgetful, chunkId);
  expect((await claimed(other, chunkId)).granted).toBe(true);
});

test('events that can never be written fail their attempt with the evidence, and hold up nobody else', async () => {
  const [bad, good] = [await harness.startWorker('bad'), await harness.startWorker('good')];
  const runs = [await seedRun(harness.database, harness.seeded), await seedRun(harness.database, harness.seeded)];
  const offers = [await bad.nextOffer(), await good.nextOffer()] as const;
  for (const [worker, offer] of [
    [bad, offers[0]],
    [good, offers[1]],
  ] as const) {
    await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  }
  // More than the column holds: the protocol has no limit there, Postgres has.
  const poison = bad.fact(offers[0], 'STEP_COMMITTED', { step: 1, epoch: 2 ** 40 });
  for (let tries = 0; tries < 5; tries++) {
    await expect(bad.report(offers[0], poison)).rejects.toSatisfy((error) => error instanceof RemoteError && error.code === 'INTERNAL');
    await good.report(offers[1], good.fact(offers[1], 'STEP_COMMITTED', { step: tries + 1, epoch: 1 }));
  }
  await expect(bad.report(offers[0], poison)).rejects.toSatisfy((error) => error instanceof RemoteError && error.code === 'STALE_TOKEN');
  const [attempt] = await harness.database.query('read', 'select status, cause, cause_code, cause_message from attempts where id = $1', [
    uuidOf(offers[0].attemptId),
  ]);
  expect(attempt).toEqual({
    status: 'FAILED',
    cause: 'INTERNAL',
    cause_code: 'EVENTS_REFUSED',
    cause_message: expect.stringContaining('integer'),
  });
  const [kept] = await harness.database.query(
    'read',
    `select tries, convert_from(batch, 'UTF8') as batch from refused_batches where attempt_id = $1`,
    [uuidOf(offers[0].attemptId)],
  );
  expect(kept).toEqual({ tries: 5, batch: expect.stringContaining(poison.eventId) });
  const saved = good.fact(offers[1], 'CHECKPOINT_SAVED', { step: 5, epoch: 1, checkpoint: checkpointAt(5, 1) });
  await good.report(offers[1], saved, good.fact(offers[1], 'RUN_SUCCEEDED', { step: 5 }));
  expect(runs).toContain(offers[1].runId);
  expect(await harness.status(offers[1].runId)).toBe('SUCCEEDED');
});
