import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { natsConfiguration } from './nats.js';
import { parseOwnership } from './ownership.js';
import { asOrdinaryUser, postgresUrl, startupMessage } from './postgres.js';
import { keepSecrets, secretOf } from './secrets.js';
import { weedIdentities } from './store.js';

test('the broker gets one user per role with exactly its subjects', () => {
  const users = [
    { name: 'admin', password: 'a' },
    { name: 'worker', password: 'w', permissions: { publish: ['*.events.>'], subscribe: ['_INBOX_worker.>'] } },
  ];
  const { authorization, max_payload, jetstream } = JSON.parse(natsConfiguration({ port: 1, monitorPort: 2, folder: '/js', users }));
  expect(authorization.users).toEqual([
    { user: 'admin', password: 'a' },
    { user: 'worker', password: 'w', permissions: { publish: { allow: ['*.events.>'] }, subscribe: { allow: ['_INBOX_worker.>'] } } },
  ]);
  expect(max_payload).toBe(2_097_152);
  expect(jetstream).toEqual({ store_dir: '/js' });
});

test("the worker's store identity is bound to the bucket and is no admin", () => {
  const keys = (name: string) => ({ accessKey: `${name}-access`, secretKey: `${name}-secret` });
  const { identities } = JSON.parse(weedIdentities(keys('service'), keys('worker'), 'xrays'));
  expect(identities[1]).toEqual({
    name: 'worker',
    credentials: [{ accessKey: 'worker-access', secretKey: 'worker-secret' }],
    actions: ['Read:xrays', 'Write:xrays', 'List:xrays'],
  });
});

test('secrets are made once, added to when a name is new, and readable by their owner only', () => {
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-secrets-'));
  const path = join(folder, 'secrets.json');
  try {
    const first = keepSecrets(path, ['postgres']);
    const second = keepSecrets(path, ['postgres', 'nats.worker']);
    expect(secretOf(second, 'postgres')).toBe(secretOf(first, 'postgres'));
    expect(secretOf(second, 'nats.worker')).toMatch(/^[\w-]{43}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(() => secretOf(second, 'nats.gateway')).toThrow(/no secret named nats.gateway/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the startup message is what protocol 3.0 says', () => {
  const message = startupMessage('postgres', 'postgres');
  expect(message.readInt32BE(0)).toBe(message.length);
  expect(message.readInt32BE(4)).toBe(3 << 16);
  expect(message.toString('utf8', 8)).toBe('user\0postgres\0database\0postgres\0\0');
});

test('only root needs the user namespace for Postgres', () => {
  expect(asOrdinaryUser('/pg/initdb', ['-D', 'x'], 1000)).toEqual({ command: '/pg/initdb', args: ['-D', 'x'] });
  expect(asOrdinaryUser('/pg/initdb', ['-D', 'x'], 0)).toEqual({
    command: 'unshare',
    args: ['--user', '--map-user=65534', '--map-group=65534', '/pg/initdb', '-D', 'x'],
  });
});

test('the address holds the password only where there is one', () => {
  expect(postgresUrl(5432, undefined)).toBe('postgres://postgres@127.0.0.1:5432/postgres');
  expect(postgresUrl(5432, 'secret')).toBe('postgres://postgres:secret@127.0.0.1:5432/postgres');
});

test.each(['', '{"owner":', '{"owner":{"pid":"7"}}', 'null'])('an ownership record %j belongs to nobody', (text) => {
  expect(parseOwnership(text)).toBeUndefined();
});
