import { z } from 'zod';
import { InvalidInputError } from '@roentgen/domain';

/** Where a page ended: a time with an id, or an ordinal. `at` is Postgres' own text of the time, which keeps the microseconds. */
export type PageKey =
  { readonly by: 'time'; readonly at: string; readonly uuid: string } | { readonly by: 'ordinal'; readonly ordinal: number };

export interface PageRequest {
  readonly limit: number;
  readonly after: PageKey | null;
}

export interface Page<T> {
  readonly items: readonly { readonly key: PageKey; readonly item: T }[];
  readonly hasMore: boolean;
}

const TimeKeyColumns = z.object({ key_at: z.string(), key_id: z.string() });
const OrdinalKeyColumn = z.object({ ordinal: z.number() });

/** `[at, uuid]` of a time-ordered list, nulls for its first page. @throws InvalidInputError for a cursor of another list */
export function timeKey(request: PageRequest): [string | null, string | null] {
  if (request.after === null) return [null, null];
  if (request.after.by !== 'time') throw foreignCursor();
  return [request.after.at, request.after.uuid];
}

/** The ordinal after which to go on, −1 for the first page. @throws InvalidInputError for a cursor of another list */
export function ordinalKey(request: PageRequest): number {
  if (request.after === null) return -1;
  if (request.after.by !== 'ordinal') throw foreignCursor();
  return request.after.ordinal;
}

/** A page from rows selected with `limit + 1` and the columns `key_at` (text) and `key_id`. */
export function timePage<T>(rows: readonly unknown[], limit: number, parse: (row: unknown) => T): Page<T> {
  return toPage(rows, limit, parse, (row) => {
    const { key_at: at, key_id: uuid } = TimeKeyColumns.parse(row);
    return { by: 'time', at, uuid };
  });
}

/** A page from rows selected with `limit + 1` and a column `ordinal`. */
export function ordinalPage<T>(rows: readonly unknown[], limit: number, parse: (row: unknown) => T): Page<T> {
  return toPage(rows, limit, parse, (row) => ({ by: 'ordinal', ordinal: OrdinalKeyColumn.parse(row).ordinal }));
}

function toPage<T>(rows: readonly unknown[], limit: number, parse: (row: unknown) => T, keyOf: (row: unknown) => PageKey): Page<T> {
  return { items: rows.slice(0, limit).map((row) => ({ key: keyOf(row), item: parse(row) })), hasMore: rows.length > limit };
}

function foreignCursor(): InvalidInputError {
  return new InvalidInputError('after is a cursor of another list: use the endCursor of a page of this one.', [
    { field: 'after', message: 'is a cursor of another list' },
  ]);
}
