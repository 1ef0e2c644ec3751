import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { Database, EventStore, MigrationMismatchError, RunLeaseStore, RunLifecycleStore, WorkerPresenceStore } from '@roentgen/database';
import { FAILURE_CAUSES, RunEventInputSchema, UnavailableError, decide, newId, uuidOf, type RunEventInput } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { seedProject, seedRun } from '../testkit/rows.js';
import { postgresRunBook } from '../testkit/run-book.js';

const { postgres } = inject('stack');
const connect = (schema: string) => Database.connect({ url: postgres.url, schema, poolSize: 8, startupTimeoutMs: 5_000 }, silentLogger);
const newSchema = () => `t_${randomUUID().replaceAll('-', '')}`;

let database: Database;
beforeAll(async () => {
  database = await connect(newSchema());
  await database.migrate();
});
afterAll(() => database.close());

const fact = (eventId: string): RunEventInput => ({
  eventId,
  kind: 'STEP_COMMITTED',
  occurredAt: new Date().toISOString(),
  attemptId: null,
  workerId: null,
  epoch: 1,
  step: 1,
  status: null,
  message: null,
  metrics: [{ name: 'train/loss', value: 0.5, kind: 'FINITE' }],
  checkpoint: null,
  failure: null,
});

const newRun = async () => seedRun(database, await seedProject(database));

test('of several processes that migrate at once, one does and the others find it done', async () => {
  const schema = newSchema();
  const several = await Promise.all(Array.from({ length: 4 }, () => connect(schema)));
  const ran = await Promise.all(several.map((one) => one.migrate()));
  expect(ran.filter((names) => names.length > 0)).toHaveLength(1);
  await Promise.all(several.map((one) => one.close()));
});

test('a schema that a newer version has migrated is left alone, with the name of what is unknown', async () => {
  const newer = await connect(newSchema());
  await newer.migrate();
  await newer.query('seed', `insert into schema_migrations (name, sha256) values ('999999-from-the-future.sql', 'x')`);
  await expect(newer.migrate()).rejects.toThrow(MigrationMismatchError);
  await expect(newer.migrate()).rejects.toThrow('999999-from-the-future.sql');
  await newer.close();
});

test('a database that is not there is waited for, then named', async () => {
  const gone = Database.connect(
    { url: 'postgres://nobody:secret@127.0.0.1:1/none', schema: 'public', poolSize: 1, startupTimeoutMs: 300 },
    silentLogger,
  );
  await expect(gone).rejects.toThrow(/Postgres at 127\.0\.0\.1:1 did not answer within 300 ms.*POSTGRES_URL/);
  await expect(gone).rejects.not.toThrow(/secret/);
});

test('many producers append at once: sequences are 1..n, no fact twice', async () => {
  const runId = await newRun();
  const events = new EventStore(database);
  const append = (ids: string[]) => database.transaction('append', (tx) => events.append(tx, runId, ids.map(fact)));
  // Every fact is sent by two producers, and within one batch twice: four chances to be recorded more than once.
  const batches = Array.from({ length: 40 }, (_, i) => Array.from({ length: 5 }, (_, j) => `fact-${i * 5 + j}`));
  await Promise.all([...batches, ...batches.toReversed()].map((ids) => append([...ids, ...ids])));
  const log = await events.readAfter(runId, 0, 1_000);
  expect(log.map((event) => event.sequence)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  expect(new Set(log.map((event) => event.eventId)).size).toBe(200);
  expect(await events.heads([runId])).toEqual(new Map([[runId, 200]]));
});

test('an event comes back as it went in', async () => {
  const runId = await newRun();
  const events = new EventStore(database);
  const sent: RunEventInput = { ...fact('a'), message: 'hello', failure: { code: 'X', message: 'y', details: { step: 3 } } };
  const [appended] = await database.transaction('append', (tx) => events.append(tx, runId, [sent]));
  const [read] = await events.readAfter(runId, 0, 10);
  expect(read).toEqual(appended);
  expect(read).toMatchObject({ ...sent, runId, sequence: 1, occurredAt: new Date(sent.occurredAt).toISOString() });
});

test('a batch that is rolled back leaves no gap', async () => {
  const runId = await newRun();
  const events = new EventStore(database);
  const doomed = database.transaction('append', async (tx) => {
    await events.append(tx, runId, [fact('lost')]);
    throw new Error('the coordinator died here');
  });
  await expect(doomed).rejects.toThrow('died');
  const kept = await database.transaction('append', (tx) => events.append(tx, runId, [fact('kept')]));
  expect(kept.map((event) => event.sequence)).toEqual([1]);
});

test('a connection that breaks in the middle of a transaction fails that transaction by name, and nothing else', async () => {
  const broken = database.transaction('broken', async (tx) => {
    const [row] = await tx.query('pid', 'select pg_backend_pid() as pid');
    await database.query('kill', 'select pg_terminate_backend($1)', [(row as { pid: number }).pid]);
    await vi.waitFor(async () => {
      const [{ alive }] = (await database.query('look', 'select count(*) as alive from pg_stat_activity where pid = $1', [
        (row as { pid: number }).pid,
      ])) as [{ alive: number }];
      expect(alive).toBe(0);
    });
    await tx.query('after', 'select 1');
  });
  await expect(broken).rejects.toSatisfy((error) => error instanceof UnavailableError && /Postgres/.test(error.message));
  expect(await database.query('next', 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a statement that the server breaks off because it stops is told as a part that is away', async () => {
  const slow = expect(database.query('slow', `select pg_sleep(60), 'slow'`)).rejects.toThrow(UnavailableError);
  await vi.waitFor(() =>
    database.query('kill', `select 1 / count(pg_terminate_backend(pid)) from pg_stat_activity where query like '/* slow */%'`),
  );
  await slow;
});

test('coordinators that write down the same workers do not wait for each other, nor for a row that is locked', async () => {
  const presence = new WorkerPresenceStore(database);
  const [a, b] = [newId('wkr'), newId('wkr')];
  const said = (workerId: typeof a) => ({
    workerId,
    name: 'w',
    version: '1',
    device: 'cpu' as const,
    deviceName: 'none',
    state: 'IDLE',
    runId: null,
    residentBytes: 0,
    runtime: null,
    startedAt: new Date(0).toISOString(),
    silentMs: 0,
  });
  await presence.upsert([said(a), said(b)]);
  const seen = async () =>
    await database.query('look', 'select last_seen_at::text as seen from workers where id = any ($1::uuid[]) order by id', [
      [a, b].map(uuidOf),
    ]);
  const before = await seen();
  await database.transaction('hold', async (tx) => {
    await tx.query('hold', 'select 1 from workers where id = $1 for update', [uuidOf(a)]);
    await Promise.all([presence.upsert([said(a), said(b)]), presence.upsert([said(b), said(a)])]);
  });
  const [first, second] = await seen();
  expect(first, 'the one whose row was locked').toEqual(before[0]);
  expect(second).not.toEqual(before[1]);
  await Promise.all([presence.upsert([said(a), said(b)]), presence.upsert([said(b), said(a)])]);
  expect((await seen())[0]).not.toEqual(before[0]);
});

test('a session that stops in the middle of a transaction does not keep its locks for ever', async () => {
  const [row] = await database.query(
    'look',
    `select setting::integer as ms from pg_settings where name = 'idle_in_transaction_session_timeout'`,
  );
  expect(row).toEqual({ ms: 60_000 });
});

test('an event that quotes bytes no text may hold is recorded all the same', async () => {
  const runId = await newRun();
  const events = new EventStore(database);
  const sent = {
    ...fact('a'),
    message: 'read "\u0000\ud83d" of 😀 in C:\\u0000',
    failure: { code: 'X', message: 'y', details: { '\u0000k': '\udc00' } },
  };
  const [appended] = await database.transaction('append', (tx) => events.append(tx, runId, [sent]));
  expect(appended?.message).toBe('read "\ufffd\ufffd" of 😀 in C:\\u0000');
});

test('that no worker has the memory for a run is told of it for as long as that is so, and nothing else is forgotten with it', async () => {
  const leases = new RunLeaseStore(database);
  const coordinator = newId('crd');
  const runId = await newRun();
  await leases.claimOpen(coordinator, 60_000, 1_000);
  const generation = (await leases.renew(coordinator, 60_000)).find((run) => run.runId === runId)?.generation ?? 0;
  const waits = async (code: 'NO_WORKER_FITS' | 'WORKERS_BUSY') => {
    await leases.explainWait(runId, { coordinator, generation }, { code, message: 'why', workers: [] });
    const [row] = await database.query('read', 'select status_code, status_message from training_runs where id = $1', [uuidOf(runId)]);
    return row;
  };
  expect(await waits('NO_WORKER_FITS')).toEqual({ status_code: 'NO_WORKER_FITS', status_message: 'why' });
  expect(await waits('WORKERS_BUSY')).toEqual({ status_code: null, status_message: null });
  await database.query('seed', `update training_runs set status_code = 'WORKER_REFUSED', status_message = 'no' where id = $1`, [
    uuidOf(runId),
  ]);
  await database.query('seed', 'update training_runs set wait = null where id = $1', [uuidOf(runId)]);
  expect(await waits('WORKERS_BUSY')).toEqual({ status_code: 'WORKER_REFUSED', status_message: 'no' });
});

test.each([
  ['more tries than attempts are looked back on otherwise', 30, 0],
  ['tries with many in between that count for nothing', 3, 25],
])('every try in vain since the last progress counts against a run: %s', async (_what, maxAttempts, drainsAfterFirst) => {
  const book = postgresRunBook(database, { maxAttempts });
  const coordinator = newId('crd');
  const runId = await newRun();
  await book.claimOpen(coordinator, 60_000, 1_000);
  const owner = { coordinator, generation: (await book.renew(coordinator, 60_000)).find((run) => run.runId === runId)?.generation ?? 0 };
  const attempt = async (code: 'WORKER_LOST' | 'WORKER_STOPPING', step = 0) => {
    const offered = { attemptId: newId('att'), token: randomUUID(), workerId: newId('wkr'), workerName: 'w' };
    await book.apply(runId, { kind: 'OFFER', by: owner, attempt: offered, microBatchSize: null });
    const said = (kind: RunEventInput['kind'], rest: object = {}) =>
      RunEventInputSchema.parse({ eventId: randomUUID(), kind, occurredAt: new Date().toISOString(), ...rest });
    const events = [said('RUN_STARTED', { step }), said('ATTEMPT_FAILED', { failure: { code, message: 'm', details: {} } })];
    const { decision } = await book.report({ ...offered, runId, generation: owner.generation, events });
    return decision.ok ? decision.state.status : decision.message;
  };
  // What came before the last progress does not count.
  expect(await attempt('WORKER_LOST')).toBe('QUEUED');
  expect(await attempt('WORKER_LOST', 100)).toBe('QUEUED');
  expect(await attempt('WORKER_LOST')).toBe('QUEUED');
  for (let i = 0; i < drainsAfterFirst; i++) expect(await attempt('WORKER_STOPPING')).toBe('QUEUED');
  for (let i = 2; i < maxAttempts; i++) expect(await attempt('WORKER_LOST')).toBe('QUEUED');
  expect(await attempt('WORKER_LOST')).toBe('FAILED');
  const [row] = await database.query('read', 'select status_code from training_runs where id = $1', [uuidOf(runId)]);
  expect(row).toEqual({ status_code: 'TOO_MANY_ATTEMPTS' });
});

test('a run avoids the workers that it failed on since it last got further, but for failures that were nobody’s', async () => {
  const coordinator = newId('crd');
  const runId = await newRun();
  for (const [number, cause] of [...FAILURE_CAUSES, null].entries()) {
    await database.query(
      'seed',
      `insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name, start_step, last_step, status, cause, ended_at)
       select $1, project_id, id, $3, 1, $4, $5, coalesce($6, 'none'), 0, 0, case when $6 is null then 'PAUSED' else 'FAILED' end, $6, now()
         from training_runs where id = $2`,
      [uuidOf(newId('att')), uuidOf(runId), number + 1, randomUUID(), uuidOf(newId('wkr')), cause],
    );
  }
  const leases = new RunLeaseStore(database);
  await leases.claimOpen(coordinator, 60_000, 1_000);
  const run = (await leases.renew(coordinator, 60_000)).find((owned) => owned.runId === runId);
  const free = ['WORKER_DRAINED', 'STORE_AWAY', 'FACTS_LOST'];
  expect(run?.avoidWorkers.toSorted()).toEqual(FAILURE_CAUSES.filter((cause) => !free.includes(cause)).toSorted());
});

test('a coordinator owns no more runs than it may, and decides nothing about one that was taken over', async () => {
  const leases = new RunLeaseStore(database);
  const [first, second] = [newId('crd'), newId('crd')];
  await leases.claimOpen(newId('crd'), 60_000, 1_000);
  const runs = [await newRun(), await newRun(), await newRun()];
  await leases.claimOpen(first, 60_000, 2);
  await leases.claimOpen(first, 60_000, 2);
  const owned = await leases.renew(first, 60_000);
  expect(owned.map((run) => run.runId)).toEqual(runs.slice(0, 2));

  const [run] = owned;
  const lifecycle = new RunLifecycleStore(new EventStore(database), 'coordinator');
  const by = { coordinator: first, generation: run!.generation };
  const attempt = () => ({ attemptId: newId('att'), token: randomUUID(), workerId: newId('wkr'), workerName: 'w' });
  const offered = async () => {
    const state = await database.transaction('look', (tx) => lifecycle.load(tx, runs[0]!));
    return decide(state!, { kind: 'OFFER', by, attempt: attempt(), microBatchSize: null }, { maxAttempts: 3 });
  };
  expect(await offered()).toMatchObject({ ok: true, state: { status: 'PREPARING' } });
  await database.query('expire', `update training_runs set lease_until = now() - interval '1 second' where id = $1`, [uuidOf(runs[0]!)]);
  expect(await leases.claimOpen(second, 60_000, 1)).toEqual([runs[0]]);
  expect(await offered()).toMatchObject({ ok: false, reason: 'STALE' });
});
