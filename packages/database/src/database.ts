import { readFile, readdir } from 'node:fs/promises';
import pg from 'pg';
import { UnavailableError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { migrate, type Migration } from './migrate.js';
import { quoteIdentifier } from './sql.js';

export interface DatabaseOptions {
  readonly url: string;
  readonly schema: string;
  readonly poolSize: number;
  /** How long connect() keeps trying a server that is not there yet, ms. */
  readonly startupTimeoutMs: number;
}

/** Runs named statements; a pool outside a transaction, one connection inside. Rows are `unknown` until a store parses them. */
export interface Queryable {
  query(name: string, sql: string, parameters?: readonly unknown[]): Promise<unknown[]>;
}

// Counts, sizes and sequences stay below 2^53; as numbers they need no special care further up.
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a JavaScript number`);
  return value;
});
// RFC 3339 in UTC, as the API gives it.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString());

const MIGRATIONS = new URL('../migrations/', import.meta.url);
const RETRY_PAUSE_MS = 250;

/** The pool and its transactions: the only place that knows the driver. */
export class Database implements Queryable {
  private constructor(
    private readonly pool: pg.Pool,
    private readonly logger: Logger,
    readonly schema: string,
  ) {}

  /** Opens the pool once the server answers. @throws UnavailableError after `startupTimeoutMs`, naming host and last cause */
  static async connect(options: DatabaseOptions, logger: Logger): Promise<Database> {
    const pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize,
      application_name: 'roentgen',
      options: `-c search_path=${quoteIdentifier(options.schema)} -c timezone=UTC -c lock_timeout=30s -c statement_timeout=120s`,
      connectionTimeoutMillis: 5_000,
    });
    // A pool without this listener ends the process when the server goes away.
    pool.on('error', (err) => logger.warn({ err }, 'an idle database connection broke'));
    const database = new Database(pool, logger, options.schema);
    await database.waitUntilReachable(options);
    return database;
  }

  async query(name: string, sql: string, parameters: readonly unknown[] = []): Promise<unknown[]> {
    return await runNamed(this.pool, name, sql, parameters);
  }

  /** Runs `work` in one transaction (read committed); any throw rolls back. */
  async transaction<T>(name: string, work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query(`begin /* ${name} */`);
      const result = await work({ query: (statement, sql, parameters = []) => runNamed(client, statement, sql, parameters) });
      await client.query('commit');
      return result;
    } catch (thrown) {
      await client.query('rollback').catch((err: unknown) => (broken = coerceError(err)));
      throw thrown;
    } finally {
      client.release(broken);
    }
  }

  /** Brings the schema up to this version of the code; safe on parallel starts. Returns the names of the migrations it ran. */
  async migrate(): Promise<string[]> {
    const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort();
    const migrations: Migration[] = await Promise.all(
      names.map(async (name) => ({ name, sql: await readFile(new URL(name, MIGRATIONS), 'utf8') })),
    );
    const client = await this.pool.connect();
    try {
      const ran = await migrate(client, this.schema, migrations);
      if (ran.length > 0) this.logger.info({ migrations: ran, schema: this.schema }, 'database migrated');
      return ran;
    } finally {
      client.release();
    }
  }

  async close(): Promise<void> {
    if (!this.pool.ended) await this.pool.end();
  }

  private async waitUntilReachable(options: DatabaseOptions): Promise<void> {
    const deadline = Date.now() + options.startupTimeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.pool.query('select 1');
        return;
      } catch (cause) {
        const where = new URL(options.url).host;
        if (Date.now() >= deadline) {
          await this.pool.end();
          throw new UnavailableError(
            `Postgres at ${where} did not answer within ${options.startupTimeoutMs} ms (${coerceError(cause).message}). Start it, or correct POSTGRES_URL.`,
            { host: where },
            { cause },
          );
        }
        if (attempt === 1) this.logger.warn({ host: where, err: cause }, 'waiting for Postgres');
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      }
    }
  }
}

async function runNamed(on: pg.Pool | pg.PoolClient, name: string, sql: string, parameters: readonly unknown[]): Promise<unknown[]> {
  const { rows } = await on.query<Record<string, unknown>>(`/* ${name} */ ${sql}`, [...parameters]);
  return rows;
}

/** SQLSTATE of a failed statement, where the thrown thing has one. Codes used here are named in SQL_STATES. */
export function sqlState(thrown: unknown): string | null {
  return thrown instanceof pg.DatabaseError ? (thrown.code ?? null) : null;
}

export const SQL_STATES = { uniqueViolation: '23505', noDataFound: 'P0002', foreignKeyViolation: '23503' } as const;
