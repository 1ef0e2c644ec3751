import { expect, test } from 'vitest';
import { InvalidInputError } from './errors.js';
import { idFromUuid, isId, newId, parseId, uuidOf } from './ids.js';

test('an id survives the way through Postgres', () => {
  const id = newId('run');
  expect(idFromUuid('run', uuidOf(id))).toBe(id);
  expect(id).toMatch(/^run_[0-9a-f]{32}$/);
});

test('ids made later sort later', () => {
  const ids = Array.from({ length: 50 }, () => newId('ds'));
  expect([...ids].sort()).toEqual(ids);
});

test('an id of another kind, or no id at all, is refused with its value', () => {
  expect(() => parseId('run', newId('ds'), 'runId')).toThrow(InvalidInputError);
  expect(() => parseId('run', 'run_; drop table', 'runId')).toThrow(/"run_; drop table" is not a valid runId: expected run_/);
  expect(isId('run', 'run_')).toBe(false);
});
