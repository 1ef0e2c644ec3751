import { expect, test } from 'vitest';
import { parseSetupArguments } from './setup.js';

test('each token is asked for by its option', () => {
  expect(parseSetupArguments([])).toEqual({ ensureAdminToken: false, sessionTokenHours: null });
  expect(parseSetupArguments(['--ensure-admin-token', '--session-token', '12'])).toEqual({ ensureAdminToken: true, sessionTokenHours: 12 });
});

test('an option that is not known, or hours that are none, are named', () => {
  expect(() => parseSetupArguments(['--session-token', 'soon'])).toThrow('--session-token soon: takes whole hours from 1 to');
  expect(() => parseSetupArguments(['--session-token', '0'])).toThrow('--session-token 0');
  expect(() => parseSetupArguments(['--admin'])).toThrow('Known options: --ensure-admin-token, --session-token HOURS.');
});
