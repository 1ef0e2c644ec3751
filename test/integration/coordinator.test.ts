import { expect, test, vi } from 'vitest';
import { metric, uuidOf, type RunId } from '@roentgen/domain';
import { RemoteError } from '@roentgen/messaging';
import { ChunkResult, WorkerRegistration } from '@roentgen/protocol';
import { seedRun } from '../testkit/rows.js';
import type { ScriptedWorker } from '../testkit/scripted-worker.js';
import { checkpointAt, claim, claimed, eventually, useCoordinator } from './coordinator-harness.js';

const harness = useCoordinator();
const startWorker = (label: string) => harness.startWorker(label);
const kinds = (runId: RunId) => harness.kinds(runId);
const log = (runId: RunId) => harness.log(runId);
const column = (runId: RunId, what: string) => harness.column(runId, what);
const status = (runId: RunId) => harness.status(runId);
const seedInspectionChunk = (files: number) => harness.seedInspectionChunk(files);

test('a queued run goes to an idle worker, its events become rows, and its end makes a model', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  expect(offer).toMatchObject({ runId, attemptNumber: 1, recipe: { variant: 'B0' }, resumeFrom: null });

  const begun = worker.fact(offer, 'RUN_STARTED', { step: 0, metrics: [metric('run/total-steps', 3)] });
  const steps = [1, 2, 3].map((step) =>
    worker.fact(offer, 'STEP_COMMITTED', { step, epoch: 1, metrics: [metric('train/loss', step === 2 ? Number.NaN : 1 / step)] }),
  );
  await worker.report(offer, begun, ...steps);
  expect(await status(runId)).toBe('RUNNING');
  await worker.report(offer, ...steps); // the answer got lost: sent again
  const saved = worker.fact(offer, 'CHECKPOINT_SAVED', { step: 3, epoch: 1, checkpoint: checkpointAt(3, 1) });
  const last = worker.fact(offer, 'RUN_SUCCEEDED', { step: 3, epoch: 1 });
  await worker.report(offer, saved, last);
  expect(await worker.report(offer, last)).toBe(1); // also the last one may be asked about again

  expect(await kinds(runId)).toEqual([
    'ATTEMPT_ASSIGNED',
    'RUN_STARTED',
    'STEP_COMMITTED',
    'STEP_COMMITTED',
    'STEP_COMMITTED',
    'CHECKPOINT_SAVED',
    'RUN_SUCCEEDED',
  ]);
  expect(await status(runId)).toBe('SUCCEEDED');
  expect([await column(runId, 'committed_step'), await column(runId, 'total_steps')]).toEqual([3, 3]);
  const series = await harness.database.query('read', 'select step, value, kind from metrics where run_id = $1 order by step', [
    uuidOf(runId),
  ]);
  expect(series).toEqual([
    { step: 1, value: 1, kind: 'FINITE' },
    { step: 2, value: null, kind: 'NAN' },
    { step: 3, value: 1 / 3, kind: 'FINITE' },
  ]);
  expect(await harness.database.query('read', 'select variant, classes from models where run_id = $1', [uuidOf(runId)])).toEqual([
    { variant: 'B0', classes: ['a', 'b'] },
  ]);
});

test('a run goes to a worker that it fits into and that takes work, with micro-batches that are settled then and shown', async () => {
  const worker = async (name: string, gib: number, ineligibleReason: string | null = null) => {
    const started = await startWorker(name);
    const settings = { memoryScale: 1, intraOpThreads: 0, interOpThreads: 0, xla: false, deterministicOps: false };
    started.runtime = { ...settings, memoryBudgetBytes: gib * 2 ** 30, ineligibleReason };
    return started;
  };
  await worker('a-small', 4);
  await worker('b-broken', 80, 'its self-test failed: parity loss');
  await vi.waitFor(async () => expect(await registered()).toEqual(['a-small', 'b-broken']), eventually);
  const runId = await seedRun(harness.database, harness.seeded, { variant: 'B7', globalBatchSize: 32 });
  await vi.waitFor(async () => expect(await column(runId, 'status_code')).toBe('NO_WORKER_FITS'), eventually);
  expect(await column(runId, 'status_message')).toMatch(/^B7 at 600 px needs .* the largest worker may use 4\.0 GiB/);
  const large = await worker('c-large', 40);
  const offer = await large.nextOffer();
  expect(offer).toMatchObject({ runId, recipe: { variant: 'B7', microBatchSize: 8 } });
  expect(await column(runId, "recipe ->> 'microBatchSize'")).toBe('8');
  expect(await column(runId, 'status_message')).toBeNull();
  expect((await log(runId))[0]?.message).toBe('attempt 1 on c-large, micro-batches of 8');
});

test('what a worker registers of its machine replaces what it registered before', async () => {
  const worker = await startWorker('w1');
  const selftest = { level: 'quick' as const, at: '2026-01-02T03:04:05.000Z', seconds: 2, tensorflowVersion: null, checks: [], speeds: [] };
  for (const verdict of ['FAIL', 'PASS'] as const)
    await worker.bus.request(
      WorkerRegistration,
      [worker.workerId],
      { workerId: worker.workerId, selftest: { ...selftest, verdict } },
      { timeoutMs: 5_000 },
    );
  const rows = await harness.database.query('read', 'select verdict from worker_selftests where worker_id = $1', [uuidOf(worker.workerId)]);
  expect(rows).toEqual([{ verdict: 'PASS' }]);
});

/** Names of the workers whose memory is written down. */
async function registered(): Promise<unknown> {
  const rows = await harness.database.query(
    'read',
    `select name from workers where memory_budget_bytes is not null and id = any ($1::uuid[]) order by name`,
    [harness.workers.map(({ workerId }) => uuidOf(workerId))],
  );
  return rows.map((row) => (row as { name: string }).name);
}

test('a worker that goes silent loses its run to another, which goes on from the checkpoint; back again it can write nothing', async () => {
  const first = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const lost = await first.nextOffer();
  const saved = checkpointAt(5, 1);
  await first.report(
    lost,
    first.fact(lost, 'RUN_STARTED', { step: 0 }),
    first.fact(lost, 'CHECKPOINT_SAVED', { step: 5, epoch: 1, checkpoint: saved }),
  );
  first.silence();
  const second = await startWorker('w2');
  const offer = await second.nextOffer();
  expect(offer).toMatchObject({ runId, attemptNumber: 2, resumeFrom: { checkpointId: saved.checkpointId } });

  first.talk();
  const late = first.report(lost, first.fact(lost, 'STEP_COMMITTED', { step: 6, epoch: 1 }));
  await expect(late).rejects.toSatisfy((error) => error instanceof RemoteError && error.code === 'STALE_TOKEN');
  await second.report(offer, second.fact(offer, 'RUN_STARTED', { step: 5 }), second.fact(offer, 'RUN_SUCCEEDED', { step: 9 }));
  expect(await kinds(runId)).toEqual([
    'ATTEMPT_ASSIGNED',
    'RUN_STARTED',
    'CHECKPOINT_SAVED',
    'ATTEMPT_LOST',
    'RUN_REQUEUED',
    'ATTEMPT_ASSIGNED',
    'RUN_STARTED',
    'RUN_SUCCEEDED',
  ]);
  expect((await log(runId)).map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a run that diverged fails with its cause and keeps its last good checkpoint', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  const saved = checkpointAt(2, 1);
  const failure = { code: 'NON_FINITE_LOSS', message: 'the loss at step 3 is NaN', details: { step: 3 } };
  await worker.report(
    offer,
    worker.fact(offer, 'RUN_STARTED', { step: 0 }),
    worker.fact(offer, 'CHECKPOINT_SAVED', { step: 2, epoch: 1, checkpoint: saved }),
    worker.fact(offer, 'ATTEMPT_FAILED', { step: 2, failure }),
  );
  expect(await status(runId)).toBe('FAILED');
  expect(await column(runId, 'status_code')).toBe('NON_FINITE_LOSS');
  expect(await column(runId, 'checkpoint_id')).toBe(uuidOf(saved.checkpointId));
  expect((await log(runId)).at(-1)).toMatchObject({ kind: 'RUN_FAILED', status: 'FAILED', failure });
});

test('a cancelled run is stopped at its worker and ends as CANCELLED', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  await harness.database.query('seed', `update training_runs set status = 'CANCELLING' where id = $1`, [uuidOf(runId)]);
  await vi.waitFor(
    () => expect(worker.stops[0]).toMatchObject({ attemptId: offer.attemptId, token: offer.token, reason: 'CANCEL' }),
    eventually,
  );
  await worker.report(offer, worker.fact(offer, 'RUN_CANCELLED', { step: 1 }));
  expect(await status(runId)).toBe('CANCELLED');
});

test('when a coordinator goes away, another takes its runs over with a higher generation', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  await harness.coordinator.close();
  harness.coordinator = await harness.startCoordinator();
  await vi.waitFor(async () => expect(await column(runId, 'generation')).toBe(offer.generation + 1), eventually);
  // The attempt lives on: its worker never noticed.
  const saved = worker.fact(offer, 'CHECKPOINT_SAVED', { step: 1, epoch: 1, checkpoint: checkpointAt(1, 1) });
  expect(await worker.report(offer, saved, worker.fact(offer, 'RUN_SUCCEEDED', { step: 1 }))).toBe(2);
  expect(await status(runId)).toBe('SUCCEEDED');
});

test('a worker that is asked to leave costs the run none of its tries', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const failure = { code: 'WORKER_STOPPING', message: 'the worker is shutting down', details: {} };
  for (let attemptNumber = 1; attemptNumber <= harness.config.scheduling.maxAttempts + 1; attemptNumber++) {
    const offer = await worker.nextOffer();
    expect(offer).toMatchObject({ runId, attemptNumber });
    await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }), worker.fact(offer, 'ATTEMPT_FAILED', { failure }));
    worker.letGo();
  }
  expect(await kinds(runId)).not.toContain('RUN_FAILED');
});

test('a worker that refuses is asked again after a while, not at every look', async () => {
  const worker = await startWorker('w1');
  worker.refusal = 'BUSY: with something else';
  const runId = await seedRun(harness.database, harness.seeded);
  const offers = () =>
    harness.database.query(
      'read',
      'select extract(epoch from started_at)::float8 * 1000 as ms from attempts where run_id = $1 order by number',
      [uuidOf(runId)],
    );
  await vi.waitFor(async () => expect((await offers()).length).toBeGreaterThanOrEqual(3), eventually);
  const times = ((await offers()) as { ms: number }[]).map(({ ms }) => ms);
  for (const [i, ms] of times.slice(1).entries())
    expect(ms - (times[i] ?? 0)).toBeGreaterThanOrEqual(harness.config.scheduling.workerLostMs);
  worker.refusal = null;
  expect(await worker.nextOffer()).toMatchObject({ runId });
});

test('a worker that still holds an attempt that was taken from its run is told to drop it', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  await harness.database.query('seed', `update attempts set status = 'REFUSED', ended_at = now() where run_id = $1`, [uuidOf(runId)]);
  await vi.waitFor(
    () => expect(worker.stops[0]).toMatchObject({ attemptId: offer.attemptId, token: offer.token, reason: 'SUPERSEDED' }),
    eventually,
  );
});

test('a start that comes after the cancel does not make the run RUNNING, and the reason of the cancel stays', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  await harness.database.query(
    'seed',
    `update training_runs set status = 'CANCELLING', status_code = 'CANCELLED_BY_USER', status_message = 'Cancelled by token "t".' where id = $1`,
    [uuidOf(runId)],
  );
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
  expect(await status(runId)).toBe('CANCELLING');
  expect((await log(runId)).at(-1)).toMatchObject({ kind: 'RUN_STARTED', status: null });
  await worker.report(offer, worker.fact(offer, 'RUN_CANCELLED', { step: 0 }));
  expect([await status(runId), await column(runId, 'status_code')]).toEqual(['CANCELLED', 'CANCELLED_BY_USER']);
});

test('a run that never saved a checkpoint cannot succeed: nothing of the batch is recorded', async () => {
  const worker = await startWorker('w1');
  const runId = await seedRun(harness.database, harness.seeded);
  const offer = await worker.nextOffer();
  const batch = [worker.fact(offer, 'RUN_STARTED', { step: 0 }), worker.fact(offer, 'RUN_SUCCEEDED', { step: 3 })];
  await expect(worker.report(offer, ...batch)).rejects.toSatisfy((error) => error instanceof RemoteError && error.code === 'CONFLICT');
  expect(await kinds(runId)).toEqual(['ATTEMPT_ASSIGNED']);
  expect(await status(runId)).toBe('PREPARING');
});

test('a chunk that takes every worker with it is given up, and its files are rejected with the reason', async () => {
  const worker = await startWorker('w1');
  const chunkId = await seedInspectionChunk(2);
  for (let claims = 0; claims < harness.config.work.chunkMaxClaims; claims++) await claimed(worker, chunkId);
  const files = () =>
    harness.database.query('read', 'select status, error_code from upload_files where upload_id = $1', [uuidOf(harness.seeded.uploadId)]);
  const rejected = { status: 'REJECTED', error_code: 'TOO_MANY_CLAIMS' };
  await vi.waitFor(async () => expect(await files()).toEqual([rejected, rejected]), eventually);
  expect(await harness.database.query('read', 'select status from uploads where id = $1', [uuidOf(harness.seeded.uploadId)])).toEqual([
    { status: 'READY' },
  ]);
});

test('a result that leaves out a file, or names one of another chunk, changes nothing', async () => {
  const worker = await startWorker('w1');
  const chunkId = await seedInspectionChunk(2);
  const { token } = await claimed(worker, chunkId);
  const error = { code: 'TRUNCATED', message: 'the file ends early' };
  const report = (...ordinals: number[]) =>
    worker.bus.request(
      ChunkResult,
      [worker.workerId],
      { chunkId, token, outcome: { kind: 'inspected', files: ordinals.map((ordinal) => ({ ordinal, image: null, error })) } },
      { timeoutMs: 5_000 },
    );
  for (const ordinals of [[0], [0, 1, 2], [0, 0], []]) {
    await expect(report(...ordinals)).rejects.toSatisfy((thrown) => thrown instanceof RemoteError && thrown.code === 'CONFLICT');
  }
  const files = () =>
    harness.database.query('read', 'select status from upload_files where upload_id = $1', [uuidOf(harness.seeded.uploadId)]);
  expect(await files()).toEqual([{ status: 'PENDING' }, { status: 'PENDING' }]);
  await report(0, 1);
  expect(await files()).toEqual([{ status: 'REJECTED' }, { status: 'REJECTED' }]);
});

test('a chunk is given to one worker; one who lets the lease run out has lost it', async () => {
  const [first, second] = [await startWorker('w1'), await startWorker('w2')];
  const chunkId = await seedInspectionChunk(3);
  const result = (worker: ScriptedWorker, token: string) =>
    worker.bus.request(
      ChunkResult,
      [worker.workerId],
      {
        chunkId,
        token,
        outcome: {
          kind: 'inspected',
          files: [
            {
              ordinal: 0,
              image: { sha256: 'a'.repeat(64), bytes: 10, format: 'png', widthPx: 64, heightPx: 64, channels: 1 },
              error: null,
            },
            { ordinal: 1, image: null, error: { code: 'TRUNCATED', message: 'the file ends early' } },
            {
              ordinal: 2,
              image: { sha256: 'a'.repeat(64), bytes: 10, format: 'png', widthPx: 64, heightPx: 64, channels: 1 },
              error: null,
            },
          ],
        },
      },
      { timeoutMs: 5_000 },
    );

  const [mine, theirs] = await Promise.all([claim(first, chunkId), claim(second, chunkId)]);
  expect([mine.granted, theirs.granted].sort()).toEqual([false, true]);
  const [owner, token] = mine.granted ? [first, mine.token] : theirs.granted ? [second, theirs.token] : [first, ''];
  const other = owner === first ? second : first;
  const again = await claimed(other, chunkId);
  await expect(result(owner, token)).rejects.toSatisfy((error) => error instanceof RemoteError && error.code === 'STALE_TOKEN');
  await result(other, again.token);

  const files = await harness.database.query('read', 'select status, error_code from upload_files where upload_id = $1 order by ordinal', [
    uuidOf(harness.seeded.uploadId),
  ]);
  expect(files).toEqual([
    { status: 'VERIFIED', error_code: null },
    { status: 'REJECTED', error_code: 'TRUNCATED' },
    { status: 'VERIFIED', error_code: null },
  ]);
  expect(await harness.database.query('read', 'select status from uploads where id = $1', [uuidOf(harness.seeded.uploadId)])).toEqual([
    { status: 'READY' },
  ]);
});
