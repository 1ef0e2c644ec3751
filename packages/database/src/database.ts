import pg from 'pg';
import { DatabaseFullError, UnavailableError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { translateError } from './errors.js';
import { assertMigrated, migrate, shippedMigrations, type Migration } from './migrate.js';
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

const RETRY_PAUSE_MS = 250;
/** Whoever writes tries again more often than that: a server that nobody has found full for so long counts as having room. */
const FULL_REMEMBERED_MS = 30_000;
/** Nobody waits for ever: not for a lock, not for a statement, and not for the locks of a process that was stopped in its transaction. */
const SESSION_SETTINGS = '-c timezone=UTC -c lock_timeout=30s -c statement_timeout=120s -c idle_in_transaction_session_timeout=60s';

/** The pool and its transactions: the only place that knows the driver. */
export class Database implements Queryable {
  private full: { readonly error: DatabaseFullError; readonly atMs: number } | null = null;

  private constructor(
    private readonly pool: pg.Pool,
    private readonly logger: Logger,
    readonly schema: string,
    private readonly host: string,
  ) {}

  /** Opens the pool once the server answers. @throws UnavailableError after `startupTimeoutMs`, naming host and last cause */
  static async connect(options: DatabaseOptions, logger: Logger): Promise<Database> {
    const pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize,
      application_name: 'roentgen',
      options: `-c search_path=${quoteIdentifier(options.schema)} ${SESSION_SETTINGS}`,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    // A pool without this listener ends the process when the server goes away.
    pool.on('error', (err) => logger.warn({ err }, 'an idle database connection broke'));
    const database = new Database(pool, logger, options.schema, new URL(options.url).host);
    await database.waitUntilReachable(options.startupTimeoutMs);
    return database;
  }

  /**
   * Like `connect`, for services: nothing is read or written in a schema that is not exactly this version's.
   * @throws UnavailableError, MigrationMismatchError
   */
  static async open(options: DatabaseOptions, logger: Logger): Promise<Database> {
    const database = await Database.connect(options, logger);
    try {
      const migrations = await shippedMigrations();
      await database.withClient((client) => assertMigrated(client, options.schema, migrations));
      return database;
    } catch (thrown) {
      await database.close();
      throw thrown;
    }
  }

  /** @throws UnavailableError when the server is away, DatabaseFullError when its disk has no room */
  async query(name: string, sql: string, parameters: readonly unknown[] = []): Promise<unknown[]> {
    try {
      return await runNamed(this.pool, name, sql, parameters);
    } catch (thrown) {
      throw this.translated(thrown);
    }
  }

  /** Why nothing can be written, as far as this process has found lately; reading goes on meanwhile. @throws DatabaseFullError */
  checkRoom(): void {
    if (this.full !== null && performance.now() - this.full.atMs < FULL_REMEMBERED_MS) throw this.full.error;
  }

  /**
   * Runs `work` in one transaction (read committed); any throw rolls back.
   * @param options.lockTimeoutMs how long it waits for a lock that another holds; as long as any session, where left out
   * @throws UnavailableError when the server is away, LockTimeoutError, DatabaseFullError when its disk has no room
   */
  async transaction<T>(name: string, work: (tx: Queryable) => Promise<T>, options: { readonly lockTimeoutMs?: number } = {}): Promise<T> {
    return await this.withClient(async (client) => {
      const { lockTimeoutMs } = options;
      // One round trip for both.
      await client.query(`begin /* ${name} */${lockTimeoutMs === undefined ? '' : `; set local lock_timeout = ${lockTimeoutMs}`}`);
      try {
        const result = await work({ query: (statement, sql, parameters = []) => runNamed(client, statement, sql, parameters) });
        await client.query('commit');
        return result;
      } catch (thrown) {
        // A connection that cannot even roll back is no longer usable; withClient has noticed.
        await client.query('rollback').catch(() => undefined);
        throw thrown;
      }
    });
  }

  /**
   * Brings the schema up to this version of the code, or to that of the migrations given; safe on parallel starts. Returns the names of those it ran.
   * @throws MigrationMismatchError when the schema has others than these
   */
  async migrate(migrations?: readonly Migration[]): Promise<string[]> {
    const all = migrations ?? (await shippedMigrations());
    const ran = await this.withClient((client) => migrate(client, this.schema, all));
    if (ran.length > 0) this.logger.info({ migrations: ran, schema: this.schema }, 'database migrated');
    return ran;
  }

  async close(): Promise<void> {
    if (!this.pool.ended) await this.pool.end();
  }

  /** One connection for as long as `work` lasts; one that broke meanwhile does not go back to the pool. */
  private async withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let broken: Error | undefined;
    // The pool listens only to idle connections: one that breaks between two statements would end the process.
    const onError = (err: Error) => {
      broken = err;
    };
    try {
      const client = await this.pool.connect();
      client.on('error', onError);
      try {
        return await work(client);
      } finally {
        client.off('error', onError);
        client.release(broken);
      }
    } catch (thrown) {
      throw this.translated(thrown);
    }
  }

  private translated(thrown: unknown): Error {
    const error = translateError(thrown, this.host);
    if (error instanceof DatabaseFullError) this.full = { error, atMs: performance.now() };
    return error;
  }

  private async waitUntilReachable(startupTimeoutMs: number): Promise<void> {
    const deadline = Date.now() + startupTimeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.pool.query('select 1');
        return;
      } catch (cause) {
        const { host } = this;
        if (Date.now() >= deadline) {
          await this.pool.end();
          throw new UnavailableError(
            `Postgres at ${host} did not answer within ${startupTimeoutMs} ms (${coerceError(cause).message}). Start it, or correct POSTGRES_URL.`,
            { host },
            { cause },
          );
        }
        if (attempt === 1) this.logger.warn({ host, err: cause }, 'waiting for Postgres');
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      }
    }
  }
}

async function runNamed(on: pg.Pool | pg.PoolClient, name: string, sql: string, parameters: readonly unknown[]): Promise<unknown[]> {
  const { rows } = await on.query<Record<string, unknown>>(`/* ${name} */ ${sql}`, [...parameters]);
  return rows;
}
