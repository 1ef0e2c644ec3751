import { z } from 'zod';
import type { Database, Queryable } from '@roentgen/database';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly identity: boolean;
}

/** Rows of one table: the text of each column. */
interface TableCopy {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** All rows of a schema as they were at one moment. */
export type DatabaseCopy = ReadonlyMap<string, TableCopy>;

const ROWS_AT_ONCE = 500;
const quoted = (name: string) => `"${name}"`;

/** What `pg_dump --data-only` reads: every table in one snapshot, while others go on writing. */
export async function copyDatabase(database: Database): Promise<DatabaseCopy> {
  return await database.transaction('copy_database', async (tx) => {
    await tx.query('one_snapshot', 'set transaction isolation level repeatable read read only');
    const copies = new Map<string, TableCopy>();
    for (const [table, columns] of await tablesOf(tx)) {
      const texts = columns.map(({ name }) => `${quoted(name)}::text`);
      const rows = await tx.query('copy_table', `select array[${texts.join(', ')}] as cells from ${quoted(table)}`);
      const cells = z.array(z.object({ cells: z.array(z.string().nullable()) })).parse(rows);
      copies.set(table, { columns, rows: cells.map((row) => row.cells) });
    }
    return copies;
  });
}

/**
 * Puts the rows of the copy in the place of those that are there, in one transaction; foreign keys are not looked at, as with `pg_restore --disable-triggers`.
 * Tables and columns that the schema does not have are left out: so rows go into an older schema as that version had them.
 */
export async function restoreDatabase(database: Database, copy: DatabaseCopy): Promise<void> {
  await database.transaction('restore_database', async (tx) => {
    await tx.query('no_triggers', 'set local session_replication_role = replica');
    const tables = [...(await tablesOf(tx))].filter(([table]) => table !== 'schema_migrations');
    await tx.query('empty', `truncate ${tables.map(([table]) => quoted(table)).join(', ')}`);
    for (const [table, columns] of tables) {
      const rows = copy.get(table);
      if (rows !== undefined) await restoreTable(tx, table, columns, rows);
    }
  });
}

async function restoreTable(tx: Queryable, table: string, columns: readonly Column[], copy: TableCopy): Promise<void> {
  const common = columns.flatMap((column) => {
    const place = copy.columns.findIndex(({ name }) => name === column.name);
    return place === -1 ? [] : [{ ...column, place }];
  });
  const names = common.map(({ name }) => quoted(name)).join(', ');
  const values = common.map(({ type, place }) => `(r ->> ${place})::${type}`).join(', ');
  for (let at = 0; at < copy.rows.length; at += ROWS_AT_ONCE) {
    await tx.query(
      'restore_rows',
      `insert into ${quoted(table)} (${names}) overriding system value select ${values} from jsonb_array_elements($1::jsonb) r`,
      [JSON.stringify(copy.rows.slice(at, at + ROWS_AT_ONCE))],
    );
  }
  for (const { name } of common.filter(({ identity }) => identity)) {
    const sequence = `pg_get_serial_sequence('${quoted(table)}', '${name}')`;
    await tx.query('restore_sequence', `select setval(${sequence}, coalesce(max(${quoted(name)}), 0) + 1, false) from ${quoted(table)}`);
  }
}

async function tablesOf(tx: Queryable): Promise<Map<string, Column[]>> {
  const rows = await tx.query(
    'columns',
    `select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attidentity <> '' as identity
       from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
      order by c.relname, a.attnum`,
  );
  const Row = z.object({ table: z.string(), name: z.string(), type: z.string(), identity: z.boolean() });
  const tables = new Map<string, Column[]>();
  for (const { table, ...column } of Row.array().parse(rows)) tables.set(table, [...(tables.get(table) ?? []), column]);
  return tables;
}
