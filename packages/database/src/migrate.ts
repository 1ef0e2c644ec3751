import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import type pg from 'pg';
import { z } from 'zod';
import { RoentgenError } from '@roentgen/domain';
import { quoteIdentifier } from './sql.js';

export interface Migration {
  /** `000001-what-it-does.sql`; the order of names is the order of running. */
  readonly name: string;
  readonly sql: string;
}

/** The schema is not the one of this code: of a later version, of an earlier one, or of a file that was changed after it ran. */
export class MigrationMismatchError extends RoentgenError {
  readonly code = 'MIGRATION_MISMATCH';
}

const AppliedRow = z.object({ name: z.string(), sha256: z.string() });
type Applied = z.infer<typeof AppliedRow>;

const FOLDER = new URL('../migrations/', import.meta.url);

/** The migrations that ship with this version, in the order of running. */
export async function shippedMigrations(): Promise<Migration[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.sql')).sort();
  return await Promise.all(names.map(async (name) => ({ name, sql: await readFile(new URL(name, FOLDER), 'utf8') })));
}

/** @throws MigrationMismatchError where the schema is not exactly the one that these migrations make */
export async function assertMigrated(client: pg.PoolClient, schema: string, migrations: readonly Migration[]): Promise<void> {
  const { rows } = await client.query<{ there: boolean }>(`select to_regclass('schema_migrations') is not null as there`);
  const applied = rows[0]?.there === true ? await appliedMigrations(client) : [];
  assertKnown(applied, migrations);
  const missing = missingOf(migrations, applied).map(({ name }) => name);
  if (missing.length === 0) return;
  throw new MigrationMismatchError(
    `The database schema "${schema}" lacks ${missing.length} of ${migrations.length} migrations, the first is ${missing[0]}: it belongs to an older version, or is new. ` +
      'Stop what still runs of the older version, and run the set-up of this one (services/gateway/src/setup-main.ts).',
    { schema, missing },
  );
}

/**
 * Runs what is missing, each migration in a transaction of its own, under one advisory lock per schema: of several processes that start at once, one
 * migrates and the others wait. One that fails leaves nothing of itself; those before it stay. @throws MigrationMismatchError
 */
export async function migrate(client: pg.PoolClient, schema: string, migrations: readonly Migration[]): Promise<string[]> {
  const lock = `roentgen-migrations:${schema}`;
  // What others migrate meanwhile is waited for, however long it takes.
  await client.query('set lock_timeout = 0; set statement_timeout = 0');
  await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [lock]);
  try {
    await client.query('reset lock_timeout');
    await client.query(`create schema if not exists ${quoteIdentifier(schema)}`);
    await client.query(
      'create table if not exists schema_migrations (name text primary key, sha256 text not null, ran_at timestamptz not null default now())',
    );
    const applied = await appliedMigrations(client);
    assertKnown(applied, migrations);
    const missing = missingOf(migrations, applied);
    for (const migration of missing) await run(client, migration);
    return missing.map((m) => m.name);
  } finally {
    await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [lock]);
    await client.query('reset lock_timeout; reset statement_timeout');
  }
}

async function appliedMigrations(client: pg.PoolClient): Promise<Applied[]> {
  return AppliedRow.array().parse((await client.query('select name, sha256 from schema_migrations order by name')).rows);
}

function missingOf(migrations: readonly Migration[], applied: readonly Applied[]): Migration[] {
  return migrations.filter((migration) => !applied.some(({ name }) => name === migration.name));
}

async function run(client: pg.PoolClient, migration: Migration): Promise<void> {
  await client.query('begin');
  try {
    // The row first: a second runner that got past the lock fails here, before it changes anything.
    await client.query('insert into schema_migrations (name, sha256) values ($1, $2)', [migration.name, sha256(migration.sql)]);
    await client.query(migration.sql);
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback');
    throw cause;
  }
}

function assertKnown(applied: readonly Applied[], migrations: readonly Migration[]): void {
  for (const { name, sha256: ranAs } of applied) {
    const known = migrations.find((m) => m.name === name);
    if (known === undefined) {
      throw new MigrationMismatchError(
        `The database has migration ${name}, which this version does not know: it was migrated by a newer one. Run that version.`,
        { name },
      );
    }
    if (sha256(known.sql) !== ranAs) {
      throw new MigrationMismatchError(`Migration ${name} was changed after it ran. Put the file back and add a new migration instead.`, {
        name,
      });
    }
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
