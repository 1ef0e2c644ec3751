import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { Database, EventStore, MigrationMismatchError } from '@roentgen/database';
import type { RunEventInput } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { seedProject, seedRun } from '../testkit/rows.js';

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
