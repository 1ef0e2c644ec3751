import { randomUUID } from 'node:crypto';
import { afterEach, expect, inject, test } from 'vitest';
import { Coordinator, readConfig } from '@roentgen/coordinator';
import { Database, MigrationMismatchError, shippedMigrations, type Migration } from '@roentgen/database';
import { Gateway, setUp } from '@roentgen/gateway';
import { silentLogger } from '@roentgen/logger';
import { testConfig } from './gateway-harness.js';

const { postgres, nats, store } = inject('stack');
const open: Database[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((database) => database.close()));
});

async function connect(schema: string): Promise<Database> {
  const database = await Database.connect({ url: postgres.url, schema, poolSize: 4, startupTimeoutMs: 5_000 }, silentLogger);
  open.push(database);
  return database;
}
const newSchema = () => `t_${randomUUID().replaceAll('-', '')}`;
const tables = (database: Database) =>
  database.query('look', 'select relname from pg_class where relnamespace = current_schema()::regnamespace and relname like $1', ['half%']);
const applied = async (database: Database) =>
  (await database.query('look', 'select name from schema_migrations order by name')).map((row) => (row as { name: string }).name);
const broken: Migration = {
  name: '999998-breaks.sql',
  sql: 'create table half_done (n integer); insert into half_done values (1); select 1 / 0;',
};

const coordinatorConfig = (schema: string) =>
  readConfig({
    POSTGRES_URL: postgres.url,
    POSTGRES_SCHEMA: schema,
    NATS_URL: nats.url,
    NATS_USER: 'coordinator',
    NATS_PASSWORD: nats.users['coordinator']?.password ?? '',
    NATS_SUBJECT_PREFIX: schema,
    S3_ENDPOINT: store.endpoint,
    S3_ACCESS_KEY: store.accessKey,
    S3_SECRET_KEY: store.secretKey,
    S3_BUCKET: 'test-upgrade',
    LOG_LEVEL: 'silent',
  });
const gatewayConfig = (schema: string) => {
  const config = testConfig();
  return { ...config, postgres: { ...config.postgres, schema } };
};

test('a migration that fails half-way leaves nothing of itself, keeps those before it, and the next try goes on there', async () => {
  const database = await connect(newSchema());
  const shipped = await shippedMigrations();
  await expect(database.migrate([...shipped, broken])).rejects.toThrow('division by zero');
  expect(await tables(database)).toEqual([]);
  expect(await applied(database)).toEqual(shipped.map(({ name }) => name));

  const repaired = { ...broken, sql: 'create table half_done (n integer);' };
  expect(await database.migrate([...shipped, repaired])).toEqual([broken.name]);
  expect(await tables(database)).toHaveLength(1);
});

test.each([
  ['gateway', (schema: string) => Gateway.create(gatewayConfig(schema))],
  ['coordinator', (schema: string) => Coordinator.create(coordinatorConfig(schema))],
])('a %s refuses a schema that is not its own, and names what is missing or unknown', async (_, start) => {
  const schema = newSchema();
  await expect(start(schema)).rejects.toThrow(/lacks \d+ of \d+ migrations, the first is 000001-skeleton\.sql.*setup-main/);
  const database = await connect(schema);
  const shipped = await shippedMigrations();
  await database.migrate(shipped.slice(0, -1));
  await expect(start(schema)).rejects.toThrow(`lacks 1 of ${shipped.length} migrations, the first is ${shipped.at(-1)?.name}`);
  await database.migrate();
  await database.query('newer', `insert into schema_migrations (name, sha256) values ('999999-from-the-future.sql', 'x')`);
  await expect(start(schema)).rejects.toThrow(MigrationMismatchError);
  await expect(start(schema)).rejects.toThrow(/999999-from-the-future\.sql, which this version does not know/);
});

test('of several set-ups that meet an older schema at once, one migrates it', async () => {
  const config = testConfig();
  const database = await connect(config.postgres.schema);
  const shipped = await shippedMigrations();
  await database.migrate(shipped.slice(0, -1));
  const options = { ensureAdminToken: false, sessionTokenHours: null };
  const ran = await Promise.all(Array.from({ length: 4 }, () => setUp(config, options)));
  expect(ran.flatMap(({ migrations }) => migrations)).toEqual([shipped.at(-1)?.name]);
});
