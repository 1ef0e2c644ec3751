import { z } from 'zod';
import { InvalidInputError } from '@roentgen/domain';
import type { PageKey } from '@roentgen/database';

const PostgresTime = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/)
  .refine(isTime);
const TimeKey = z.tuple([z.literal('t'), PostgresTime, z.uuid()]);
const OrdinalKey = z.tuple([z.literal('o'), z.int32().nonnegative()]);
const Cursor = z.union([TimeKey, OrdinalKey]);

/** The place of a row in its list, opaque to clients. */
export function encodeCursor(key: PageKey): string {
  const parts: z.infer<typeof Cursor> = key.by === 'time' ? ['t', key.at, key.uuid] : ['o', key.ordinal];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** @throws InvalidInputError when the text did not come from encodeCursor */
export function decodeCursor(text: string): PageKey {
  const parsed = Cursor.safeParse(parseJson(Buffer.from(text, 'base64url').toString('utf8')));
  if (!parsed.success) {
    throw new InvalidInputError(`after "${text.slice(0, 100)}" is not a cursor: use the endCursor of a page of the same list.`, [
      { field: 'after', message: 'is not a cursor of this list' },
    ]);
  }
  const [kind, ...rest] = parsed.data;
  return kind === 't' ? { by: 'time', at: String(rest[0]), uuid: String(rest[1]) } : { by: 'ordinal', ordinal: Number(rest[0]) };
}

/** Whether it is a moment of the calendar: Postgres refuses the 30th of February, and month 13. */
function isTime(text: string): boolean {
  const seconds = text.slice(0, 19).replace(' ', 'T');
  const date = new Date(`${seconds}Z`);
  return !Number.isNaN(date.getTime()) && date.getUTCFullYear() > 0 && date.toISOString().startsWith(seconds);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
