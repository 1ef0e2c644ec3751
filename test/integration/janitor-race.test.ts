import { beforeAll, expect, test, vi } from 'vitest';
import { S3ObjectInventory, S3ObjectStore, objectKeys } from '@roentgen/storage';
import { uuidOf, type ChunkId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { ChunkResult } from '@roentgen/protocol';
import type { ScriptedWorker } from '../testkit/scripted-worker.js';
import { claimed, eventually, useCoordinator } from './coordinator-harness.js';
import { JanitorHarness, hash } from './janitor-harness.js';

/** A coordinator that takes results of workers; the janitors of these tests look at its database and its bucket. */
const coordinator = useCoordinator({ COORDINATOR_JANITOR: 'off' });
const harness = new JanitorHarness();

beforeAll(async () => {
  const { store } = coordinator.config;
  harness.store = await S3ObjectStore.connect({ ...store, startupTimeoutMs: 10_000 }, silentLogger);
  await harness.store.ensureBucket();
  harness.inventory = new S3ObjectInventory(store);
  harness.useDatabase(coordinator.database);
});

const text = 'the same picture';
const sha256 = hash(text);

/** A worker found the picture in the store, where an earlier upload that failed had left it, and says so. */
const inspected = (worker: ScriptedWorker, chunkId: ChunkId, token: string) =>
  worker.bus.request(
    ChunkResult,
    [worker.workerId],
    {
      chunkId,
      token,
      outcome: {
        kind: 'inspected',
        files: [{ ordinal: 0, image: { sha256, bytes: text.length, format: 'png', widthPx: 8, heightPx: 8, channels: 1 }, error: null }],
      },
    },
    { timeoutMs: 5_000 },
  );

async function scene() {
  const { seeded } = coordinator;
  const manifest = await harness.put(objectKeys.manifest(seeded.projectId, sha256));
  await harness.sql('update dataset_versions set manifest_key = $2 where id = $1', uuidOf(seeded.datasetVersionId), manifest);
  const worker = await coordinator.startWorker('w1');
  const chunkId = await coordinator.seedInspectionChunk(1);
  const { token } = await claimed(worker, chunkId);
  const key = await harness.put(objectKeys.image(seeded.projectId, sha256), text);
  const files = async () => {
    const rows = await harness.sql('select status from upload_files where upload_id = $1', uuidOf(seeded.uploadId));
    return rows.map((row) => (row as { status: string }).status);
  };
  return { seeded, worker, chunkId, token, key, files };
}

/** Lets something happen just before the janitor marks what it removes, or just after. */
function meanwhile(when: 'before' | 'after', what: () => Promise<unknown>): () => void {
  const { inventory } = harness;
  const sign = inventory.signRemovals.bind(inventory);
  const spy = vi.spyOn(inventory, 'signRemovals').mockImplementation(async (keys, seconds) => {
    const signed = await sign(keys, seconds);
    if (when === 'before') await what();
    return {
      send: async (wanted) => {
        if (when === 'after') await what();
        return await signed.send(wanted);
      },
    };
  });
  return () => spy.mockRestore();
}

test('an image that is referred to while the janitor lists it as an orphan stays', async () => {
  const { seeded, worker, chunkId, token, key, files } = await scene();
  const restore = meanwhile('before', () => inspected(worker, chunkId, token));
  const { findings } = await harness.pass(seeded, 'DELETE');
  restore();
  expect(findings).toMatchObject([{ key, kind: 'ORPHAN', action: 'REMOVE' }]);
  expect(await files()).toEqual(['VERIFIED']);
  expect(await harness.store.stat(key)).not.toBeNull();
  expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
});

test('an image that is being removed is not referred to: the work is done again, and stores it anew', async () => {
  const { seeded, worker, chunkId, token, key, files } = await scene();
  const restore = meanwhile('after', () => inspected(worker, chunkId, token));
  const { findings } = await harness.pass(seeded, 'DELETE');
  restore();
  expect(findings).toMatchObject([{ key, action: 'REMOVED' }]);
  expect(await harness.store.stat(key)).toBeNull();
  expect(await files()).toEqual(['PENDING']);
  const chunk = () => harness.sql('select status, claims from chunks where id = $1', uuidOf(chunkId));
  expect(await chunk()).toEqual([{ status: 'PENDING', claims: 0 }]);

  // A moment later a late removal may still be on its way: even stored anew it cannot be had.
  const second = await claimed(worker, chunkId);
  await harness.put(key, text);
  await inspected(worker, chunkId, second.token);
  expect(await files()).toEqual(['PENDING']);

  // After that it can.
  await harness.sql(`update object_removals set removing_at = removing_at - interval '5 minutes' where object_key = $1`, key);
  const third = await claimed(worker, chunkId);
  await inspected(worker, chunkId, third.token);
  expect(await files()).toEqual(['VERIFIED']);
  expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
});

test('a result that comes long after the removal of what its worker had found is not believed', async () => {
  const { seeded, worker, chunkId, token, key, files } = await scene();
  await harness.pass(seeded, 'DELETE');
  await harness.sql(`update object_removals set removing_at = removing_at - interval '1 hour' where object_key = $1`, key);
  await inspected(worker, chunkId, token);
  expect(await files()).toEqual(['PENDING']);
  const again = await claimed(worker, chunkId);
  await harness.put(key, text);
  await inspected(worker, chunkId, again.token);
  expect(await files()).toEqual(['VERIFIED']);
  expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
});

test('a removal waits for transactions that have claimed the object and not yet ended', async () => {
  const { seeded, key } = await scene();
  let referred: () => void = () => undefined;
  let claimedIt: () => void = () => undefined;
  const isClaimed = new Promise<void>((resolve) => (claimedIt = resolve));
  const mayRefer = new Promise<void>((resolve) => (referred = resolve));
  const writer = harness.database.transaction('writer', async (tx) => {
    await harness.removals.claim(tx, [key]);
    claimedIt();
    await mayRefer;
    await tx.query(
      'refer',
      `insert into objects (project_id, sha256, bytes, format, width_px, height_px, channels) values ($1, decode($2, 'hex'), 1, 'png', 1, 1, 1)`,
      [uuidOf(seeded.projectId), sha256],
    );
    await tx.query('refer', `update upload_files set status = 'VERIFIED', sha256 = decode($2, 'hex') where upload_id = $1`, [
      uuidOf(seeded.uploadId),
      sha256,
    ]);
  });
  await isClaimed;
  const pass = harness.pass(seeded, 'DELETE');
  // The janitor stands in the queue for the lock.
  await vi.waitFor(async () => {
    const waiting = await harness.sql(`select from pg_locks where locktype = 'advisory' and not granted`);
    expect(waiting.length).toBeGreaterThan(0);
  }, eventually);
  referred();
  await writer;
  expect((await pass).findings).toMatchObject([{ key, action: 'REMOVE' }]);
  expect(await harness.store.stat(key)).not.toBeNull();
});
