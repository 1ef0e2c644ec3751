import { randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { PostgresRunBook } from '@roentgen/coordinator';
import { ChunkStore, ChunkWorkStore, Database, RunLeaseStore, WorkerPresenceStore } from '@roentgen/database';
import {
  RunEventInputSchema,
  idFromUuid,
  metric,
  newId,
  uuidOf,
  type AttemptFence,
  type ChunkId,
  type RunEventInput,
  type RunId,
  type RunOwner,
  type RunWait,
  type WorkerId,
} from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { seedPendingFiles, seedProject, seedRun, type SeededProject } from '../testkit/rows.js';
import { postgresRunBook } from '../testkit/run-book.js';

/**
 * Every statement that writes, and what keeps one who has lost what he writes about from doing it. A new statement has no line here, and fails the
 * test until somebody has thought about it.
 */
const UNDER_THE_RUNS_LOCK = 'decided on the state of the run in the same transaction, under its lock: tried below';
const UNDER_THE_CHUNKS_TOKEN = 'in the transaction of finish_chunk, which takes the token: tried below';
const IN_A_HELD_PASS = 'in a transaction that holds the row of its pass: holder and generation are tried in janitor-takeover.test.ts';
const ONE_COMMAND = 'a command of a user: one transaction, under the lock of what it is about';
const WRITES: Readonly<Record<string, string>> = {
  start_attempt: UNDER_THE_RUNS_LOCK,
  advance_attempt: UNDER_THE_RUNS_LOCK,
  end_attempt: UNDER_THE_RUNS_LOCK,
  settle_micro_batch: UNDER_THE_RUNS_LOCK,
  claim_checkpoint_keys: UNDER_THE_RUNS_LOCK,
  claim_object_keys: 'takes objects off the list of the janitor; refused while one is being removed: tried in janitor-race.test.ts',
  postpone_chunk: 'token: tried below',
  begin_janitor_pass: 'under a lock, only where none was begun within the interval',
  claim_janitor_pass: 'under a lock, only where no other holds one: tried in janitor-takeover.test.ts',
  release_janitor_pass: 'holder of the lease',
  advance_janitor_pass: IN_A_HELD_PASS,
  finish_janitor_pass: IN_A_HELD_PASS,
  add_janitor_findings: IN_A_HELD_PASS,
  note_object_removals: IN_A_HELD_PASS,
  spare_objects: IN_A_HELD_PASS,
  mark_objects_removing: IN_A_HELD_PASS,
  mark_objects_removed: IN_A_HELD_PASS,
  remove_checkpoint: `${IN_A_HELD_PASS}; only what no row refers to`,
  remove_image: `${IN_A_HELD_PASS}; only what no row refers to`,
  expire_uploads: `${IN_A_HELD_PASS}; only where nothing was made of the upload`,
  forget_expired_files: IN_A_HELD_PASS,
  forget_removed_objects: 'a record that is old, by the clock of Postgres',
  forget_janitor_passes: 'a record that is old, by the clock of Postgres',
  request_janitor_pass: ONE_COMMAND,
  explain_wait: 'holder and generation of the lease: tried below',
  register_worker_selftest: 'of the worker itself, once per process',
  open_attempt: UNDER_THE_RUNS_LOCK,
  move_run: UNDER_THE_RUNS_LOCK,
  add_checkpoint: UNDER_THE_RUNS_LOCK,
  add_model: UNDER_THE_RUNS_LOCK,
  upsert_metrics: UNDER_THE_RUNS_LOCK,
  advance_run: UNDER_THE_RUNS_LOCK,
  set_worker_aside: UNDER_THE_RUNS_LOCK,
  append_run_events: UNDER_THE_RUNS_LOCK,
  claim_open_runs: 'only where nobody holds the lease; skips rows that another is claiming: tried below',
  renew_run_leases: 'holder and time of the lease: tried below',
  release_run_leases: 'holder of the lease: tried below',
  finish_chunk: 'token: tried below',
  give_back_chunk: 'token: tried below',
  claim_chunk: 'state and time of the lease: tried below',
  renew_chunk_leases: 'token: tried below',
  count_refused_batch: 'counts what was sent, whoever sent it',
  keep_refused_batch: 'evidence beside the count',
  give_up_chunk: 'only while nobody has it: tried below',
  take_unannounced_chunks: 'time of the lease, and silence of the holder, both by the clock of Postgres',
  unannounce_chunks: 'only while nobody has it; asks for a notice too many at worst',
  decide_upload_files: UNDER_THE_CHUNKS_TOKEN,
  reject_pending_files: UNDER_THE_CHUNKS_TOKEN,
  complete_upload_if_done: 'true or not by the rows of the chunks, whoever asks',
  apply_predictions: UNDER_THE_CHUNKS_TOKEN,
  fail_prediction_job: UNDER_THE_CHUNKS_TOKEN,
  drop_pending_chunks: UNDER_THE_CHUNKS_TOKEN,
  add_objects: UNDER_THE_CHUNKS_TOKEN,
  start_prediction_job: 'only from QUEUED; a claim too late makes a queued job RUNNING, which it would be anyway',
  finish_prediction_job: 'only while it is open; the CSV has the same bytes whoever writes it',
  upsert_workers: 'only what is newer than what is there, by the clock of Postgres: tried below',
  decide_weights_file: UNDER_THE_CHUNKS_TOKEN,
  note_chunk_engine: UNDER_THE_CHUNKS_TOKEN,
  weight_set_ready: UNDER_THE_CHUNKS_TOKEN,
  weight_set_failed: UNDER_THE_CHUNKS_TOKEN,
  create_weight_set: ONE_COMMAND,
  insert_import_chunk: ONE_COMMAND,
  spend_weights_upload: ONE_COMMAND,
  insert_chunks: ONE_COMMAND,
  ensure_dataset: ONE_COMMAND,
  add_dataset_version: ONE_COMMAND,
  add_samples: ONE_COMMAND,
  claim_idempotency_key: ONE_COMMAND,
  complete_idempotency_key: ONE_COMMAND,
  create_prediction_rows: ONE_COMMAND,
  create_run: ONE_COMMAND,
  create_fork: 'a command of a user; takes the checkpoint and the row of the run as they are, and holds the checkpoint',
  create_token: ONE_COMMAND,
  revoke_token: ONE_COMMAND,
  create_upload: ONE_COMMAND,
  complete_upload: ONE_COMMAND,
  add_upload_files: ONE_COMMAND,
  readmit_worker: ONE_COMMAND,
  drain_worker: ONE_COMMAND,
};

const { postgres } = inject('stack');
let database: Database;
let book: PostgresRunBook;
let seeded: SeededProject;
let runId: RunId;
const stale: { owner: RunOwner; fence: AttemptFence } = {
  owner: { coordinator: newId('crd'), generation: 0 },
  fence: { runId: newId('run'), attemptId: newId('att'), generation: 0, token: '' },
};

beforeAll(async () => {
  const schema = `t_${randomUUID().replaceAll('-', '')}`;
  database = await Database.connect({ url: postgres.url, schema, poolSize: 4, startupTimeoutMs: 5_000 }, silentLogger);
  await database.migrate();
  book = postgresRunBook(database, { maxAttempts: 3 });
});
afterAll(() => database.close());

const expire = () =>
  database.query('expire', `update training_runs set lease_until = now() - interval '1 second' where finished_at is null`);
const fact = (kind: RunEventInput['kind'], rest: object = {}) =>
  RunEventInputSchema.parse({ eventId: randomUUID(), kind, occurredAt: new Date().toISOString(), ...rest });

/** Claims the run and gives an attempt at it to a new worker. */
async function takeRun(coordinator: RunOwner['coordinator']): Promise<{ owner: RunOwner; fence: AttemptFence }> {
  await book.claimOpen(coordinator, 60_000, 1_000);
  const run = (await book.renew(coordinator, 60_000)).find((owned) => owned.runId === runId);
  const owner = { coordinator, generation: run?.generation ?? 0 };
  const attempt = { attemptId: newId('att'), token: randomUUID(), workerId: newId('wkr'), workerName: randomUUID() };
  await book.apply(runId, { kind: 'OFFER', by: owner, attempt, microBatchSize: null });
  const fence = { runId, attemptId: attempt.attemptId, token: attempt.token, generation: owner.generation };
  await book.report({ ...fence, events: [fact('RUN_STARTED', { step: 0 })] });
  return { owner, fence };
}

/** A run that was taken from the coordinator, and from the worker, that `stale` speaks for; others have it now. */
beforeEach(async () => {
  await database.query('seed', `update training_runs set status = 'CANCELLED', finished_at = now() where finished_at is null`);
  seeded = await seedProject(database);
  runId = await seedRun(database, seeded);
  const first = await takeRun(newId('crd'));
  await book.apply(runId, { kind: 'LOST', by: first.owner, attemptId: first.fence.attemptId, reason: 'silent' });
  Object.assign(stale, first);
  await expire();
  await takeRun(newId('crd'));
});

/** Everything about runs and chunks. */
async function everything(): Promise<unknown> {
  const tables = [
    'training_runs',
    'attempts',
    'run_events',
    'metrics',
    'checkpoints',
    'models',
    'chunks',
    'upload_files',
    'uploads',
    'objects',
    'workers',
  ];
  return await Promise.all(tables.map((table) => database.query('read', `select * from ${table} t order by t::text`)));
}
async function changesNothing(act: () => Promise<unknown>): Promise<void> {
  const before = await everything();
  await act();
  expect(await everything()).toEqual(before);
}

test('every statement that writes is known here, with what fences it', async () => {
  const folder = new URL('../../packages/database/src/', import.meta.url);
  const sources = await Promise.all((await readdir(folder)).map((name) => readFile(new URL(name, folder), 'utf8')));
  const statements = sources.flatMap((source) => [...source.matchAll(/\.query\(\s*'([a-z_]+)',\s*[`'](.*?)[`'],?\s*[[)]/gs)]);
  const writing = statements.filter(([, , sql]) =>
    /^\s*(with\b.*\b(insert into|update)\b(?! of)|update|insert|delete)|\b(append_run_events|claim_object_keys|remove_unreferenced_\w+)\(/is.test(
      sql ?? '',
    ),
  );
  expect(writing.map(([, name]) => name).sort()).toEqual(Object.keys(WRITES).sort());
});

describe('a worker that lost its attempt and wakes up', () => {
  const checkpoint = { checkpointId: newId('ckp'), epoch: 1, step: 9, objectKey: 'k', sha256: 'c'.repeat(64), bytes: 1 };
  const failure = { code: 'CONFIG_ERROR', message: 'm', details: {} };
  test.each<[string, () => RunEventInput[]]>([
    ['its start', () => [fact('RUN_STARTED', { step: 0 })]],
    ['a step and its metrics', () => [fact('STEP_COMMITTED', { step: 9, epoch: 1, metrics: [metric('train/loss', 1)] })]],
    ['an evaluation', () => [fact('EVALUATED', { step: 9, epoch: 1, metrics: [metric('val/accuracy', 1)] })]],
    ['the pointer of a checkpoint', () => [fact('CHECKPOINT_SAVED', { step: 9, epoch: 1, checkpoint })]],
    ['a success', () => [fact('CHECKPOINT_SAVED', { step: 9, epoch: 1, checkpoint }), fact('RUN_SUCCEEDED', { step: 9 })]],
    ['a failure', () => [fact('ATTEMPT_FAILED', { failure })]],
    ['the end by cancel', () => [fact('RUN_CANCELLED')]],
    ['the end by pause', () => [fact('RUN_PAUSED')]],
  ])('writes nothing: %s', async (_what, events) => {
    await changesNothing(async () => {
      expect((await book.report({ ...stale.fence, events: events() })).decision).toMatchObject({ ok: false, reason: 'STALE' });
    });
  });

  test.each<[string, Partial<AttemptFence>]>([
    ['the token of its successor is not its own', { token: randomUUID() }],
    ['an older generation', { generation: 1 }],
  ])('neither with the attempt of its successor: %s', async (_what, other) => {
    const [live] = await book.liveAttempts([runId]);
    if (live === undefined) throw new Error('nobody has the run');
    const fence = { runId, attemptId: live.attemptId, generation: live.generation, token: live.token };
    await changesNothing(async () => {
      const forged = await book.report({ ...fence, ...other, events: [fact('STEP_COMMITTED', { step: 1, epoch: 1 })] });
      expect(forged.decision).toMatchObject({ ok: false, reason: 'STALE' });
    });
    expect((await book.report({ ...fence, events: [fact('STEP_COMMITTED', { step: 1, epoch: 1 })] })).decision.ok).toBe(true);
  });
});

describe('a coordinator that lost its run and wakes up', () => {
  const offered = () => ({ attemptId: newId('att'), token: randomUUID(), workerId: newId('wkr'), workerName: 'w' });
  test('offers, refuses, loses and settles nothing of it', async () => {
    const [live] = await book.liveAttempts([runId]);
    const attemptId = live?.attemptId ?? newId('att');
    const by = stale.owner;
    await changesNothing(async () => {
      for (const input of [
        { kind: 'OFFER' as const, by, attempt: offered(), microBatchSize: null },
        { kind: 'REFUSED' as const, by, attemptId, reason: 'r' },
        { kind: 'LOST' as const, by, attemptId, reason: 'r' },
        { kind: 'ABANDONED' as const, by },
        // The right holder of an older generation: it had the run, lost it, and has it again without knowing what happened in between.
        {
          kind: 'LOST' as const,
          by: { coordinator: live === undefined ? by.coordinator : await holder(), generation: by.generation },
          attemptId,
          reason: 'r',
        },
      ]) {
        expect((await book.apply(runId, input)).decision).toMatchObject({ ok: false, reason: 'STALE' });
      }
    });
  });

  test('renews, releases and claims nothing of it', async () => {
    const leases = new RunLeaseStore(database);
    await changesNothing(async () => {
      expect(await leases.renew(stale.owner.coordinator, 60_000)).toEqual([]);
      await leases.release(stale.owner.coordinator);
      expect(await leases.claimOpen(stale.owner.coordinator, 60_000, 10)).toEqual([]);
    });
  });

  test('does not say why it waits, neither while a worker has it nor when it is queued again', async () => {
    const leases = new RunLeaseStore(database);
    const wait = (code: RunWait['code']): RunWait => ({ code, message: 'as it was long ago', workers: [] });
    // The same holder with an older generation is one that had the run, lost it, and has it again.
    const askers = [stale.owner, { coordinator: await holder(), generation: stale.owner.generation }];
    const asks = async () => {
      for (const by of askers) {
        for (const code of ['STORE_AWAY', 'NO_WORKER_FITS'] as const) await leases.explainWait(runId, by, wait(code));
        await leases.explainWait(runId, by, null);
      }
    };
    const now = await owner();
    await leases.explainWait(runId, now, wait('STORE_FULL'));
    await changesNothing(asks);
    const [live] = await book.liveAttempts([runId]);
    if (live === undefined) throw new Error('nobody has the run');
    const failure = { code: 'UNAVAILABLE', message: 'The store is away.', details: {} };
    await book.report({ ...live, events: [fact('ATTEMPT_FAILED', { failure })] });
    await changesNothing(asks);
    await leases.explainWait(runId, now, wait('NO_WORKER_FITS'));
    const [row] = await database.query('read', 'select status, status_code from training_runs where id = $1', [uuidOf(runId)]);
    expect(row).toEqual({ status: 'QUEUED', status_code: 'NO_WORKER_FITS' });
  });

  test('does not make a worker look older than it is known to be', async () => {
    const presence = new WorkerPresenceStore(database);
    const said = (workerId: WorkerId, silentMs: number, name: string) => ({
      workerId,
      name,
      version: '1',
      device: 'cpu' as const,
      deviceName: 'none',
      state: 'IDLE',
      runId: null,
      residentBytes: 0,
      runtime: null,
      startedAt: new Date(0).toISOString(),
      silentMs,
    });
    const workerId = newId('wkr');
    await presence.upsert([said(workerId, 0, 'new')]);
    await changesNothing(() => presence.upsert([said(workerId, 20_000, 'old')]));
  });
});

async function holder(): Promise<RunOwner['coordinator']> {
  return (await owner()).coordinator;
}
async function owner(): Promise<RunOwner> {
  const [row] = await database.query('read', 'select lease_holder as coordinator, generation from training_runs where id = $1', [
    uuidOf(runId),
  ]);
  return row as RunOwner;
}

describe('a worker whose chunk was given to another', () => {
  let chunkId: ChunkId;
  let oldToken: string;
  const newToken = randomUUID();
  let chunks: ChunkStore;

  beforeEach(async () => {
    chunks = new ChunkStore(database);
    await seedPendingFiles(database, seeded, 1);
    await database.transaction('seed', (tx) =>
      chunks.createInspectionChunks(tx, { projectId: seeded.projectId, uploadId: seeded.uploadId, chunkSize: 32 }),
    );
    const [row] = await database.query('read', 'select id from chunks where upload_id = $1', [uuidOf(seeded.uploadId)]);
    chunkId = idFromUuid('chk', (row as { id: string }).id);
    oldToken = randomUUID();
    await chunks.claim(chunkId, newId('wkr'), oldToken, 60_000);
    await database.query('expire', `update chunks set lease_until = now() - interval '1 second' where id = $1`, [uuidOf(chunkId)]);
    await chunks.claim(chunkId, newId('wkr'), newToken, 60_000);
  });

  test('ends, gives back, claims and gives up nothing of it', async () => {
    await changesNothing(async () => {
      expect(await database.transaction('finish', (tx) => chunks.finish(tx, chunkId, oldToken, null))).toBeNull();
      expect(await chunks.giveBack(chunkId, oldToken, 10)).toBe(false);
      expect(await chunks.postpone(chunkId, oldToken)).toBe(false);
      await chunks.renew([{ chunkId, token: oldToken }], 600_000);
      expect(await chunks.claim(chunkId, newId('wkr'), randomUUID(), 60_000)).toBeNull();
      expect(await database.transaction('give-up', (tx) => chunks.giveUp(tx, chunkId, { code: 'X', message: 'm' }))).toBeNull();
    });
  });

  test('who has it ends it, once; and the upload with it', async () => {
    const finished = await database.transaction('finish', async (tx) => {
      const chunk = await chunks.finish(tx, chunkId, newToken, null);
      if (chunk === null) return null;
      const work = new ChunkWorkStore(database);
      await work.rejectPending(tx, chunk, seeded.uploadId, { code: 'EMPTY', message: 'm' });
      await work.completeUploadIfDone(tx, seeded.uploadId);
      return chunk;
    });
    expect(finished).toMatchObject({ chunkId });
    await changesNothing(async () => {
      expect(await database.transaction('finish', (tx) => chunks.finish(tx, chunkId, newToken, null))).toBeNull();
    });
  });
});
