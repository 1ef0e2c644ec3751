import pg from 'pg';
import { expect, test } from 'vitest';
import { DatabaseFullError, UnavailableError } from '@roentgen/domain';
import { translateError } from './errors.js';

function thrown(code: string, severity: string): pg.DatabaseError {
  const error = new pg.DatabaseError('could not extend file "base/5/16386": No space left on device', 0, 'error');
  return Object.assign(error, { code, severity });
}

test('a server without room for what is written says what helps; one without room for its log has ended', () => {
  const full = translateError(thrown('53100', 'ERROR'), 'db:5432');
  expect(full).toBeInstanceOf(DatabaseFullError);
  expect(full.message).toMatch(/^The disk of Postgres at db:5432 is full .*nothing was written\. Free space/);
  const ended = translateError(thrown('53100', 'PANIC'), 'db:5432');
  expect(ended).toBeInstanceOf(DatabaseFullError);
  expect(ended.message).toMatch(/it has ended.*start it again/);
});

test.each(['53200', '53300', '57P03', '08006'])('a server that is short of something else, or away, is not full: %s', (code) => {
  const error = translateError(thrown(code, 'FATAL'), 'db:5432');
  expect(error).toBeInstanceOf(UnavailableError);
  expect(error).not.toBeInstanceOf(DatabaseFullError);
});

test('what a statement did wrong stays what it was', () => {
  const error = thrown('23505', 'ERROR');
  expect(translateError(error, 'db:5432')).toBe(error);
});
