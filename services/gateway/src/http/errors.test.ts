import { GraphQLError } from 'graphql';
import { expect, test } from 'vitest';
import { DatabaseFullError, ForbiddenError, InvalidInputError, StoreFullError, UnavailableError } from '@roentgen/domain';
import { createLogger, silentLogger, type Logger } from '@roentgen/logger';
import { presentError } from './errors.js';

const thrownInResolver = (cause: Error) => new GraphQLError(cause.message, { originalError: cause, path: ['trainingRuns'] });
const present = (error: GraphQLError, logger: Logger = silentLogger) => presentError(error, { requestId: 'req-1', logger });

test('a refusal keeps its code, message and issues', () => {
  const issues = [{ field: 'first', message: 'too large' }];
  expect(present(thrownInResolver(new InvalidInputError('first 501 is too large', issues)))).toEqual({
    message: 'first 501 is too large',
    path: ['trainingRuns'],
    extensions: { code: 'INVALID_INPUT', inputErrors: issues, requestId: 'req-1' },
  });
  expect(present(thrownInResolver(new ForbiddenError('not yours'))).extensions?.['code']).toBe('FORBIDDEN');
});

test('what nobody expected is told as an internal error with the id under which it is logged', () => {
  const cause = new Error('relation "secret_table" does not exist');
  const logged: unknown[] = [];
  const logger = createLogger('test', 'silent');
  logger.error = ((fields: unknown) => logged.push(fields)) as typeof logger.error;
  const shown = present(thrownInResolver(cause), logger);
  expect(shown).toEqual({ message: 'internal error', path: ['trainingRuns'], extensions: { code: 'INTERNAL', requestId: 'req-1' } });
  expect(logged).toEqual([{ err: cause, requestId: 'req-1', path: ['trainingRuns'] }]);
});

test('a part that is away is told without its address', () => {
  const shown = present(thrownInResolver(new UnavailableError('Postgres at 10.0.0.7:5432 did not answer')));
  expect(shown.extensions?.['code']).toBe('UNAVAILABLE');
  expect(shown.message).not.toContain('10.0.0.7');
});

test.each([
  ['DATABASE_FULL', new DatabaseFullError('The disk of Postgres at 10.0.0.7:5432 is full'), /database is full.*free space/],
  ['STORE_FULL', new StoreFullError('The object store at http://10.0.0.8:9000 is full'), /object store has no room.*free space/],
])('a part that is full is told as %s, with what helps and without its address', (code, error, message) => {
  const shown = present(thrownInResolver(error));
  expect(shown.extensions?.['code']).toBe(code);
  expect(shown.message).toMatch(message);
  expect(shown.message).not.toContain('10.0.0');
});

test('a value that the schema cannot give is our fault, not the caller’s', () => {
  const cause = new GraphQLError('Int cannot represent 1.5');
  expect(present(new GraphQLError(cause.message, { originalError: cause, path: ['x'] })).message).toBe('internal error');
});

test('what is wrong with the query itself is told', () => {
  expect(present(new GraphQLError('Cannot query field "x"', { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }))).toEqual({
    message: 'Cannot query field "x"',
    extensions: { code: 'GRAPHQL_VALIDATION_FAILED', requestId: 'req-1' },
  });
});
