import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { StackInUseError, StackPartError, startStack, type Stack, type StackOptions } from '@roentgen/local-stack';
import { afterEach, beforeEach, expect, test } from 'vitest';

const OWNER_SCRIPT = join(import.meta.dirname, '..', 'testkit', 'stack-owner.ts');
const ephemeral = { profile: 'ephemeral', natsUsers: [{ name: 'admin' }] } as const satisfies StackOptions;

let folder: string;
const stacks: Stack[] = [];
const owners: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-local-stack-'));
});
afterEach(async () => {
  for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  await Promise.all(stacks.splice(0).map((stack) => stack.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: StackOptions): Promise<Stack> {
  const stack = await startStack(options);
  stacks.push(stack);
  return stack;
}

const durable = (overrides: Partial<StackOptions> = {}): StackOptions => ({
  profile: 'durable',
  dataDirectory: join(folder, 'data'),
  natsUsers: [{ name: 'admin' }],
  ...overrides,
});

async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await delay(50);
  }
}

/** A zombie that nobody reaped has ended as well. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** The first thing that a server says: NATS greets with its INFO. */
function natsGreeting(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once('error', reject);
  });
}

async function startOwner(...args: string[]): Promise<{ owner: ChildProcess; dataDirectory: string; pids: number[] }> {
  const owner = spawn(process.execPath, ['--import', 'tsx', OWNER_SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  owners.push(owner);
  const [line] = await once(createInterface({ input: owner.stdout! }), 'line');
  return { owner, ...JSON.parse(line) };
}

test('two stacks run side by side and do not share anything', async () => {
  const [one, two] = await Promise.all([start(ephemeral), start(ephemeral)]);
  const addresses = [one, two].flatMap(({ postgres, nats, store }) => [postgres.url, nats.url, store.endpoint]);
  expect(new Set(addresses).size).toBe(6);
  expect(await natsGreeting(one.nats.url)).toMatch(/"auth_required":true.*"jetstream":true|"jetstream":true.*"auth_required":true/);
  // Anonymous access to the store is an answer, and a refusal.
  expect((await fetch(one.store.endpoint)).status).toBe(403);
  await one.stop();
  expect(existsSync(one.dataDirectory)).toBe(false);
  expect(await natsGreeting(two.nats.url)).toContain('INFO');
});

test('a part that is killed comes back on the same port', async () => {
  const stack = await start(ephemeral);
  for (const part of stack.processes()) {
    const before = part.pid;
    await part.kill('SIGKILL');
    expect(part.pid).toBeUndefined();
    await part.restart();
    expect(part.pid).not.toBe(before);
  }
  expect(await natsGreeting(stack.nats.url)).toContain('INFO');
});

test('a part that ends by itself is reported', async () => {
  const exits: string[] = [];
  const stack = await start({ ...ephemeral, onPartExit: (part, reason) => exits.push(`${part} ${reason}`) });
  const nats = stack.processes().find(({ name }) => name === 'nats');
  process.kill(nats!.pid!, 'SIGKILL');
  await until('the report', () => exits.length > 0);
  expect(exits).toEqual(['nats ended with SIGKILL']);
});

test('a durable stack keeps its addresses and passwords, and one folder has one owner', async () => {
  const first = await start(durable());
  await expect(startStack(durable())).rejects.toThrow(StackInUseError);
  await expect(startStack(durable())).rejects.toThrow(`Process ${process.pid} already runs a stack`);
  const { postgres, nats, store } = first;
  await first.stop();
  const second = await start(durable());
  expect({ postgres: second.postgres, nats: second.nats, store: second.store }).toEqual({ postgres, nats, store });
  expect(postgres.url).toMatch(/^postgres:\/\/postgres:[\w-]{43}@127\.0\.0\.1:\d+\/postgres$/);
});

test('when the owner of an ephemeral stack is killed, nothing of it stays', async () => {
  const { owner, dataDirectory, pids } = await startOwner('ephemeral');
  expect(pids.every(isRunning)).toBe(true);
  owner.kill('SIGKILL');
  await until('no orphans', () => !pids.some(isRunning));
  await until('its folder is gone', () => !existsSync(dataDirectory));
});

test('after a kill of the owner the next durable start recovers at once', async () => {
  const { owner, dataDirectory, pids } = await startOwner('durable', join(folder, 'data'));
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const stack = await start(durable({ dataDirectory }));
  expect(pids.some(isRunning)).toBe(false);
  expect(await natsGreeting(stack.nats.url)).toContain('INFO');
});

test("a lock file of Postgres whose process id is another program's by now does not keep it from starting", async () => {
  await (await start(durable())).stop();
  writeFileSync(join(folder, 'data', 'postgres', 'postmaster.pid'), `1\n${join(folder, 'data', 'postgres')}\n`);
  await expect(start(durable())).resolves.toBeDefined();
});

test('a part that cannot start is named with the end of its log, and the others are stopped', async () => {
  await (await start(durable())).stop();
  writeFileSync(join(folder, 'data', 'postgres', 'postgresql.conf'), 'shared_buffers = nonsense\n');
  const failure = await startStack(durable()).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StackPartError);
  expect(String(failure)).toMatch(/postgres ended with exit code 1[\s\S]*shared_buffers/);
  // Stopped and released: the same folder can be used again.
  await expect(startStack(durable())).rejects.toThrow(StackPartError);
});
