import { createHash } from 'node:crypto';
import type pg from 'pg';
import { z } from 'zod';
import { RoentgenError } from '@roentgen/domain';
import { quoteIdentifier } from './sql.js';

export interface Migration {
  /** `000001-what-it-does.sql`; the order of names is the order of running. */
  readonly name: string;
  readonly sql: string;
}

/** The database was migrated by other code than this: a later version, or a file that was changed after it ran. */
export class MigrationMismatchError extends RoentgenError {
  readonly code = 'MIGRATION_MISMATCH';
}

const AppliedRow = z.object({ name: z.string(), sha256: z.string() });

/**
 * Runs what is missing, each migration in a transaction of its own, under one advisory lock per schema: of several processes that start at once, one
 * migrates and the others wait. @throws MigrationMismatchError
 */
export async function migrate(client: pg.PoolClient, schema: string, migrations: readonly Migration[]): Promise<string[]> {
  const lock = `roentgen-migrations:${schema}`;
  await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [lock]);
  try {
    await client.query(`create schema if not exists ${quoteIdentifier(schema)}`);
    await client.query(
      'create table if not exists schema_migrations (name text primary key, sha256 text not null, ran_at timestamptz not null default now())',
    );
    const applied = AppliedRow.array().parse((await client.query('select name, sha256 from schema_migrations order by name')).rows);
    assertKnown(applied, migrations);
    const missing = migrations.filter((m) => !applied.some((a) => a.name === m.name));
    for (const migration of missing) await run(client, migration);
    return missing.map((m) => m.name);
  } finally {
    await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [lock]);
  }
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

function assertKnown(applied: readonly z.infer<typeof AppliedRow>[], migrations: readonly Migration[]): void {
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
