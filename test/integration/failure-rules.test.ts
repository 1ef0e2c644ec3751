import { expect, test, vi } from 'vitest';
import { uuidOf, type RunId } from '@roentgen/domain';
import { seedRun } from '../testkit/rows.js';
import type { Offer, ScriptedWorker } from '../testkit/scripted-worker.js';
import { eventually, useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator({ COORDINATOR_MAX_ATTEMPTS: '2', COORDINATOR_WORKER_FAILURES: '2' });

const attempts = (runId: RunId) =>
  harness.database.query(
    'read',
    'select worker_name, status, cause, last_step, progressed from attempts where run_id = $1 order by number',
    [uuidOf(runId)],
  );
const newRun = () => seedRun(harness.database, harness.seeded);

async function started(worker: ScriptedWorker, ...steps: number[]): Promise<Offer> {
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  for (const step of steps) await worker.report(offer, worker.fact(offer, 'STEP_COMMITTED', { step, epoch: 1 }));
  return offer;
}
const fail = async (worker: ScriptedWorker, offer: Offer, code: string) => {
  await worker.report(offer, worker.fact(offer, 'ATTEMPT_FAILED', { failure: { code, message: `it was ${code}`, details: {} } }));
  worker.letGo();
};

test('workers that are lost after they got the run further cost it no try; those that did not use the tries up', async () => {
  const runId = await newRun();
  for (const [label, step] of [
    ['a', 100],
    ['b', 200],
    ['c', 300],
  ] as const) {
    const worker = await harness.startWorker(label);
    await started(worker, step);
    worker.silence();
    await vi.waitFor(
      async () => expect(await attempts(runId)).toContainEqual(expect.objectContaining({ worker_name: label, status: 'LOST' })),
      eventually,
    );
  }
  expect(await harness.status(runId)).not.toBe('FAILED');
  for (const label of ['d', 'e']) {
    const worker = await harness.startWorker(label);
    // Not where another was lost: that would be evidence against the run.
    await started(worker, label === 'd' ? 20 : 60);
    worker.silence();
    await vi.waitFor(
      async () => expect(await attempts(runId)).toContainEqual(expect.objectContaining({ worker_name: label, status: 'LOST' })),
      eventually,
    );
  }
  expect([await harness.status(runId), await harness.column(runId, 'status_code')]).toEqual(['FAILED', 'TOO_MANY_ATTEMPTS']);
});

test('a run that takes two workers with it at the same step fails with both as evidence', async () => {
  const runId = await newRun();
  for (const label of ['a', 'b']) {
    const worker = await harness.startWorker(label);
    await started(worker, 40);
    worker.silence();
  }
  await vi.waitFor(async () => expect(await harness.status(runId)).toBe('FAILED'), eventually);
  expect((await harness.log(runId)).at(-1)).toMatchObject({
    kind: 'RUN_FAILED',
    failure: {
      code: 'POISON_RUN',
      details: {
        evidence: [
          { worker: 'a', step: 40 },
          { worker: 'b', step: 40 },
        ],
      },
    },
  });
});

const stateOf = ({ workerId }: ScriptedWorker) =>
  harness.database.query('read', 'select state from workers where id = $1', [uuidOf(workerId)]);

test('a run that ran out of memory is tried once more, on another worker', async () => {
  const runId = await newRun();
  const first = await harness.startWorker('a');
  const offer = await started(first);
  const second = await harness.startWorker('b');
  // A run comes back to the same worker where the coordinator knows no other. By id: an earlier test had a worker of that name.
  await vi.waitFor(async () => expect(await stateOf(second)).toEqual([{ state: 'IDLE' }]), eventually);
  await fail(first, offer, 'OUT_OF_MEMORY');
  await fail(second, await started(second), 'OUT_OF_MEMORY');
  expect([await harness.status(runId), await harness.column(runId, 'status_code')]).toEqual(['FAILED', 'OUT_OF_MEMORY']);
});

test('a worker on which different runs fail is set aside with its evidence, others get the runs, and readmitted it works again', async () => {
  const bad = await harness.startWorker('bad');
  const runs = [await newRun(), await newRun()];
  for (const runId of runs) {
    const offer = await started(bad);
    expect(offer.runId).toBe(runId);
    // One try each: the second time another run is in the queue's place.
    await harness.database.query('seed', `update training_runs set retry_at = now() + interval '1 hour' where id = $1`, [uuidOf(runId)]);
    await fail(bad, offer, 'DEVICE_UNAVAILABLE');
    await harness.database.query('seed', `update training_runs set retry_at = now() + interval '1 hour' where id = $1`, [uuidOf(runId)]);
  }
  const [aside] = await harness.database.query(
    'read',
    `select reason, until > now() as active from worker_exclusions where worker_name = 'bad'`,
  );
  expect(aside).toEqual({ reason: expect.stringContaining(runs[0] ?? ''), active: true });
  await newRun();
  const good = await harness.startWorker('good');
  await good.nextOffer();
  await harness.database.query('seed', `update worker_exclusions set readmitted_at = now() where worker_name = 'bad'`);
  const third = await newRun();
  expect((await bad.nextOffer()).runId).toBe(third);
});

test('a drained worker is asked to leave, and what it had goes on elsewhere at no charge', async () => {
  const runId = await newRun();
  const [drained, other] = [await harness.startWorker('a'), await harness.startWorker('z')];
  const offer = await started(drained, 3);
  await vi.waitFor(async () => {
    const rows = await harness.database.query('drain', `update workers set drained_at = now() where id = $1 returning id`, [
      uuidOf(drained.workerId),
    ]);
    expect(rows).toHaveLength(1);
  }, eventually);
  await vi.waitFor(() => expect(drained.stops[0]).toMatchObject({ attemptId: offer.attemptId, reason: 'DRAIN' }), eventually);
  await fail(drained, offer, 'WORKER_STOPPING');
  expect(await other.nextOffer()).toMatchObject({ runId, attemptNumber: 2 });
});

test('a paused run frees its worker, stays paused, and goes on when it is resumed', async () => {
  const runId = await newRun();
  const worker = await harness.startWorker('a');
  const offer = await started(worker, 3);
  await harness.database.query('seed', `update training_runs set status = 'PAUSING', status_code = 'PAUSED_BY_USER' where id = $1`, [
    uuidOf(runId),
  ]);
  await vi.waitFor(() => expect(worker.stops[0]).toMatchObject({ attemptId: offer.attemptId, reason: 'PAUSE' }), eventually);
  await worker.report(offer, worker.fact(offer, 'RUN_PAUSED', { step: 3 }));
  worker.letGo();
  expect([await harness.status(runId), await harness.column(runId, 'status_code'), await harness.column(runId, 'lease_holder')]).toEqual([
    'PAUSED',
    'PAUSED_BY_USER',
    null,
  ]);
  expect(await attempts(runId)).toMatchObject([{ status: 'PAUSED', cause: null }]);
  await harness.database.query('seed', `update training_runs set status = 'QUEUED' where id = $1`, [uuidOf(runId)]);
  expect(await worker.nextOffer()).toMatchObject({ runId, attemptNumber: 2 });
});
