import { expect, test, vi } from 'vitest';
import { uuidOf, type RunId } from '@roentgen/domain';
import { seedRun } from '../testkit/rows.js';
import type { ScriptedWorker } from '../testkit/scripted-worker.js';
import { eventually, useCoordinator } from './coordinator-harness.js';

const STALLED_MS = 1_000;
const harness = useCoordinator({ COORDINATOR_STALLED_MS: String(STALLED_MS) });

const attempts = (runId: RunId) =>
  harness.database.query('read', 'select worker_name, status, cause, cause_code from attempts where run_id = $1 order by number', [
    uuidOf(runId),
  ]);
const longerThanStalled = () => harness.database.query('wait', 'select pg_sleep($1)', [(2 * STALLED_MS) / 1_000]);

async function working(label: string) {
  const runId = await seedRun(harness.database, harness.seeded);
  const worker = await harness.startWorker(label);
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }), worker.fact(offer, 'STEP_COMMITTED', { step: 1, epoch: 1 }));
  return { runId, worker, offer };
}
const keepsIt = async (runId: RunId, worker: ScriptedWorker) => {
  await longerThanStalled();
  expect(await attempts(runId)).toMatchObject([{ status: 'RUNNING' }]);
  expect(worker.stops).toEqual([]);
};

test('a worker whose heartbeats go on without any progress loses the run to another, and is told to leave it', async () => {
  const { runId, worker, offer } = await working('hangs');
  const other = await harness.startWorker('other');
  const next = await other.nextOffer();
  expect(next).toMatchObject({ runId, attemptNumber: 2 });
  expect(await attempts(runId)).toMatchObject([
    { worker_name: 'hangs', status: 'LOST', cause: 'WORKER_LOST', cause_code: 'WORKER_STALLED' },
    { worker_name: 'other' },
  ]);
  const lost = (await harness.log(runId)).find(({ kind }) => kind === 'ATTEMPT_LOST');
  expect(lost?.message).toMatch(/hangs is heard, but has made no progress for more than 1000 ms \(COORDINATOR_STALLED_MS\)/);
  await vi.waitFor(
    () => expect(worker.stops).toContainEqual(expect.objectContaining({ attemptId: offer.attemptId, reason: 'SUPERSEDED' })),
    eventually,
  );
  await expect(worker.report(offer, worker.fact(offer, 'STEP_COMMITTED', { step: 2, epoch: 1 }))).rejects.toMatchObject({
    code: 'STALE_TOKEN',
  });
});

test('a step that takes long keeps its run while the worker finishes pieces of it', async () => {
  const { runId, worker } = await working('slow');
  const timer = setInterval(() => worker.finished++, STALLED_MS / 5);
  await keepsIt(runId, worker).finally(() => clearInterval(timer));
});

test('a worker that waits for the store has not stalled', async () => {
  const { runId, worker } = await working('waits');
  worker.waitsFor = { code: 'STORE_AWAY', message: 'the store does not answer' };
  await keepsIt(runId, worker);
});
