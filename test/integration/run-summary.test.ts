import { expect, test, vi } from 'vitest';
import { FinishedRunLog, RunSummaryStore } from '@roentgen/database';
import { metric, type Metric, type RunEvent, type RunId } from '@roentgen/domain';
import { createLogger } from '@roentgen/logger';
import { seedRun } from '../testkit/rows.js';
import type { Offer, ScriptedWorker } from '../testkit/scripted-worker.js';
import { useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator({ COORDINATOR_MAX_ATTEMPTS: '2', COORDINATOR_WORKER_FAILURES: '20' });

const summaryOf = (runId: RunId) => new RunSummaryStore(harness.database).summary(runId);
const newRun = () => seedRun(harness.database, harness.seeded);

async function started(worker: ScriptedWorker): Promise<Offer> {
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  return offer;
}
const step = (worker: ScriptedWorker, offer: Offer, number: number, metrics: Metric[]) =>
  worker.report(offer, worker.fact(offer, 'STEP_COMMITTED', { step: number, epoch: 1, metrics }));
const fail = async (worker: ScriptedWorker, offer: Offer, code: string) => {
  await worker.report(offer, worker.fact(offer, 'ATTEMPT_FAILED', { failure: { code, message: `it was ${code}`, details: {} } }));
  worker.letGo();
};

test('a failed run: its last cause, the attempts that it took, its pace and the best it came to', async () => {
  const [worker, runId] = [await harness.startWorker('a'), await newRun()];
  worker.refusal = 'BUSY';
  await vi.waitFor(async () => expect(await harness.kinds(runId)).not.toEqual([]), { timeout: 15_000 });
  worker.refusal = null;
  const first = await started(worker);
  // Ten images in a second, and ten in a quarter: twenty in 1.25 s.
  await step(worker, first, 1, [metric('perf/images-per-second', 10)]);
  await step(worker, first, 2, [metric('perf/images-per-second', 40), metric('val/accuracy', 0.99), metric('val/auroc', 0.6)]);
  await step(worker, first, 3, [metric('val/auroc', Number.NaN)]);
  await fail(worker, first, 'OUT_OF_MEMORY');
  const second = await started(worker);
  await step(worker, second, 3, [metric('val/auroc', 0.7)]);
  await fail(worker, second, 'NON_FINITE_LOSS');
  expect(await summaryOf(runId)).toMatchObject({
    ...{ runId, state: 'FAILED', cause: 'NON_FINITE', epochs: 1, steps: 3, attempts: 2, imagesPerSecond: 16 },
    ...{ queuedSeconds: expect.any(Number) as number, durationSeconds: expect.any(Number) as number },
    best: { metric: 'val/auroc', value: 0.7, step: 3 },
  });
});

test('a run that succeeded in the end has no cause, whatever happened on the way; without AUROC accuracy counts', async () => {
  const [worker, runId] = [await harness.startWorker('a'), await newRun()];
  const first = await started(worker);
  await step(worker, first, 1, [metric('val/accuracy', 0.9)]);
  await fail(worker, first, 'UNAVAILABLE');
  const second = await started(worker);
  const checkpoint = {
    checkpointId: `ckp_${'1'.repeat(12)}7${'1'.repeat(3)}8${'1'.repeat(15)}`,
    epoch: 1,
    step: 2,
    objectKey: 'k',
    sha256: 'c'.repeat(64),
    bytes: 1,
  } as const;
  await step(worker, second, 2, [metric('val/accuracy', 0.8)]);
  await worker.report(second, worker.fact(second, 'CHECKPOINT_SAVED', { step: 2, epoch: 1, checkpoint }));
  await worker.report(second, worker.fact(second, 'RUN_SUCCEEDED', { step: 2 }));
  worker.letGo();
  expect(await summaryOf(runId)).toMatchObject({
    ...{ state: 'SUCCEEDED', cause: null, attempts: 2, imagesPerSecond: null },
    best: { metric: 'val/accuracy', value: 0.9, step: 1 },
  });
});

test('open runs are counted by state, with the age of the oldest; those that are over or paused are not', async () => {
  const [oldest, , paused] = [await newRun(), await newRun(), await newRun()];
  const age = `update training_runs set created_at = now() - interval '90 seconds' where id = any ($1)`;
  const uuid = (id: RunId) => id.replace('run_', '');
  await harness.database.query('age', age, [[oldest, paused].map(uuid)]);
  await harness.database.query('pause', `update training_runs set status = 'PAUSED' where id = $1`, [uuid(paused)]);
  const open = await new RunSummaryStore(harness.database).openRuns();
  expect(open).toEqual([{ status: 'QUEUED', count: 2, oldest_seconds: expect.any(Number) as number }]);
  expect(open[0]?.oldest_seconds).toBeGreaterThanOrEqual(90);
  expect(open[0]?.oldest_seconds).toBeLessThan(150);
});

test('a database that is away costs the line its figures, not its existence', async () => {
  const written: unknown[] = [];
  const logger = createLogger('test', 'silent');
  logger.info = (...args: unknown[]) => void written.push(args[0]);
  const log = new FinishedRunLog({ summary: () => Promise.reject(new Error('the database is away')) }, logger);
  const event = {
    runId: await newRun(),
    kind: 'RUN_FAILED',
    status: 'FAILED',
    step: 7,
    failure: { code: 'CONFIG_ERROR', message: 'm', details: {} },
  };
  log.note([event as RunEvent, { ...event, kind: 'STEP_COMMITTED' } as RunEvent]);
  await log.settled();
  expect(written).toEqual([{ runId: event.runId, state: 'FAILED', code: 'CONFIG_ERROR', steps: 7 }]);
});
