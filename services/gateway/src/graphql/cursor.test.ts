import { expect, test } from 'vitest';
import { InvalidInputError } from '@roentgen/domain';
import { decodeCursor, encodeCursor } from './cursor.js';
import { pageRequest, pageSize, toConnection } from './connection.js';

const place = { by: 'time', at: '2026-11-23 15:54:05.123456+00', uuid: '01900000-0000-7000-8000-000000000001' } as const;

test('a cursor leads back to its place, to the microsecond', () => {
  expect(decodeCursor(encodeCursor(place))).toEqual(place);
  expect(decodeCursor(encodeCursor({ by: 'ordinal', ordinal: 0 }))).toEqual({ by: 'ordinal', ordinal: 0 });
});

test('a text that is no cursor is refused, not passed to the database', () => {
  const forged = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url');
  for (const text of [
    '',
    'x',
    'é',
    forged(['t', "now()'; drop table uploads; --", place.uuid]),
    forged(['o', -1]),
    forged(['o', '1']),
    forged({}),
    encodeCursor(place).slice(0, 20),
  ]) {
    expect(() => decodeCursor(text), text).toThrow(InvalidInputError);
  }
});

test('a page has 1 to 500 rows', () => {
  expect(pageSize(500)).toBe(500);
  for (const first of [0, -1, 501]) expect(() => pageSize(first)).toThrow(`first ${first} is not from 1 to 500`);
  expect(pageRequest({ first: 2, after: null })).toEqual({ limit: 2, after: null });
});

test('the total is not counted unless someone asks', async () => {
  let counted = 0;
  const count = () => Promise.resolve(++counted);
  const connection = toConnection({ items: [{ key: { by: 'ordinal', ordinal: 7 }, item: 'a' }], hasMore: true }, (row) => ({ row }), count);
  expect(connection.nodes).toEqual([{ row: 'a' }]);
  expect(connection.pageInfo).toEqual({ hasNextPage: true, endCursor: connection.edges[0]?.cursor });
  expect(counted).toBe(0);
  expect(await connection.count()).toBe(1);
});

test('an empty page has no end', () => {
  const connection = toConnection(
    { items: [], hasMore: false },
    (row) => row,
    () => Promise.resolve(0),
  );
  expect(connection.pageInfo).toEqual({ hasNextPage: false, endCursor: null });
});
