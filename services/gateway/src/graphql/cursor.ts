import { z } from 'zod';
import { InvalidInputError } from '@roentgen/domain';
import type { PageKey } from '@roentgen/database';

const TimeKey = z.tuple([z.literal('t'), z.string().regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/), z.uuid()]);
const OrdinalKey = z.tuple([z.literal('o'), z.number().int().nonnegative()]);
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
