import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { choosePorts, isPortFree } from './ports.js';

let folder: string;
let path: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-ports-'));
  path = join(folder, 'ports.json');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
});

function occupy(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
    servers.push(server);
  });
}

test('every listener gets a free port of its own', async () => {
  const ports = await choosePorts(path, {});
  const numbers = Object.values(ports);
  expect(new Set(numbers).size).toBe(numbers.length);
  for (const port of numbers) expect(await isPortFree(port)).toBe(true);
});

test('a later start takes the same ports again', async () => {
  const first = await choosePorts(path, {});
  expect(await choosePorts(path, {})).toEqual(first);
});

test('a port that somebody took since is replaced, the others stay', async () => {
  const first = await choosePorts(path, {});
  await occupy(first.nats);
  const second = await choosePorts(path, {});
  expect(second.nats).not.toBe(first.nats);
  expect({ ...second, nats: 0 }).toEqual({ ...first, nats: 0 });
});

test('a fixed port is used, and named when it is taken', async () => {
  const taken = await occupy(0);
  await expect(choosePorts(path, { postgres: taken })).rejects.toThrow(`Port ${taken} (postgres) is taken`);
  const free = (await choosePorts(path, {})).filer;
  expect((await choosePorts(path, { postgres: free })).postgres).toBe(free);
});

test('a file that was cut off counts as none', async () => {
  writeFileSync(path, '{"postgres": 1');
  expect((await choosePorts(path, {})).postgres).toBeGreaterThan(1024);
});
