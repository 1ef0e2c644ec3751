import { expect, test, vi } from 'vitest';
import { metric, uuidOf, type RunId } from '@roentgen/domain';
import { copyDatabase, restoreDatabase } from '../testkit/database-copy.js';
import { seedRun } from '../testkit/rows.js';
import type { Offer, ScriptedWorker } from '../testkit/scripted-worker.js';
import { checkpointAt, eventually, useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator({ COORDINATOR_MAX_ATTEMPTS: '1' });

const step = (worker: ScriptedWorker, offer: Offer, at: number) =>
  worker.fact(offer, 'STEP_COMMITTED', { step: at, epoch: 1, metrics: [metric('train/loss', at / 8)] });
const steps = async (worker: ScriptedWorker, offer: Offer, from: number, to: number) => {
  for (let at = from; at <= to; at++) await worker.report(offer, step(worker, offer, at));
};
const recordedSteps = async (runId: RunId) =>
  (await harness.log(runId)).filter(({ kind }) => kind === 'STEP_COMMITTED').map((event) => event.step);
const attempts = (runId: RunId) =>
  harness.database.query('read', 'select status, cause from attempts where run_id = $1 order by number', [uuidOf(runId)]);

async function begun(worker: ScriptedWorker): Promise<Offer> {
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  await worker.report(offer, step(worker, offer, 1), worker.fact(offer, 'CHECKPOINT_SAVED', { checkpoint: checkpointAt(1, 1), step: 1 }));
  await steps(worker, offer, 2, 3);
  return offer;
}

test('a worker that went on while the database was put back loses its attempt: the log has no hole, and the run goes on from its checkpoint', async () => {
  const runId = await seedRun(harness.database, harness.seeded);
  const worker = await harness.startWorker('a');
  const offer = await begun(worker);
  const copy = await copyDatabase(harness.database);
  await steps(worker, offer, 4, 6);
  await restoreDatabase(harness.database, copy);

  await expect(worker.report(offer, step(worker, offer, 7), step(worker, offer, 8))).rejects.toMatchObject({ code: 'STALE_TOKEN' });
  expect(await recordedSteps(runId)).toEqual([1, 2, 3]);
  worker.letGo();

  const next = await worker.nextOffer();
  expect(next.resumeFrom?.objectKey).toBe('checkpoints/1.safetensors');
  expect(await attempts(runId)).toEqual([
    { status: 'FAILED', cause: 'FACTS_LOST' },
    { status: 'OFFERED', cause: null },
  ]);
  await worker.report(next, worker.fact(next, 'RUN_STARTED', { step: 1 }));
  await steps(worker, next, 2, 8);
  expect(await recordedSteps(runId)).toEqual([1, 2, 3, 2, 3, 4, 5, 6, 7, 8]);
  const log = await harness.log(runId);
  expect(log.map(({ sequence }) => sequence)).toEqual(log.map((_, i) => i + 1));
});

test('a worker of which the database has forgotten nothing keeps its attempt', async () => {
  const runId = await seedRun(harness.database, harness.seeded);
  const worker = await harness.startWorker('a');
  const offer = await begun(worker);
  const four = step(worker, offer, 4);
  await restoreDatabase(harness.database, await copyDatabase(harness.database));
  await worker.report(offer, four);
  // Its answer was lost, and more has happened since.
  await worker.report(offer, four, step(worker, offer, 5));
  expect(await recordedSteps(runId)).toEqual([1, 2, 3, 4, 5]);
  expect(await attempts(runId)).toEqual([{ status: 'RUNNING', cause: null }]);
});

test('a worker whose attempt began after the backup is told that it has none, and its run is given out again', async () => {
  const runId = await seedRun(harness.database, harness.seeded);
  const copy = await copyDatabase(harness.database);
  const worker = await harness.startWorker('a');
  const offer = await begun(worker);
  await restoreDatabase(harness.database, copy);
  await expect(worker.report(offer, step(worker, offer, 4))).rejects.toMatchObject({ code: 'STALE_TOKEN' });
  worker.letGo();
  const next = await worker.nextOffer();
  expect(next).toMatchObject({ runId, attemptNumber: 1, resumeFrom: null });
  expect(next.attemptId).not.toBe(offer.attemptId);
});

test('a run that had finished after the backup is done again, though its worker has nothing more to say', async () => {
  const runId = await seedRun(harness.database, harness.seeded);
  const worker = await harness.startWorker('a');
  const offer = await begun(worker);
  const copy = await copyDatabase(harness.database);
  await worker.report(offer, worker.fact(offer, 'RUN_SUCCEEDED', { step: 3 }));
  worker.letGo();
  await restoreDatabase(harness.database, copy);
  const next = await worker.nextOffer();
  expect(next).toMatchObject({ runId, attemptNumber: 2 });
  await vi.waitFor(
    async () => expect(await attempts(runId)).toEqual([{ status: 'LOST', cause: 'WORKER_LOST' }, expect.objectContaining({ cause: null })]),
    eventually,
  );
});
