import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '@roentgen/logger';
import type { Death } from './post-mortem.js';
import { Supervisor } from './supervisor.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-supervisor-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A compute process that runs this program, and what it told the supervisor. */
function supervise(program: string, options: { stopGraceMs?: number } = {}) {
  const entry = join(folder, 'process.mjs');
  writeFileSync(entry, program);
  const messages: unknown[] = [];
  const deaths: Death[] = [];
  const waiting: (() => void)[] = [];
  const stderr = new PassThrough();
  const supervisor = new Supervisor({
    entry: pathToFileURL(entry),
    environment: { LIVES: join(folder, 'lives'), PATH: '' },
    logger: silentLogger,
    stderr,
    stopGraceMs: options.stopGraceMs ?? 10_000,
    onMessage: (message) => {
      messages.push(message);
      waiting.splice(0).forEach((resolve) => resolve());
    },
    onDeath: (death) => Promise.resolve(void deaths.push(death)),
    backoff: { firstMs: 1, longestMs: 5, healthyAfterMs: 60_000 },
  });
  return { supervisor, messages, deaths, stderr, nextMessage: () => new Promise<void>((resolve) => waiting.push(resolve)) };
}

const COUNT_LIVES = `
  import { appendFileSync, readFileSync } from 'node:fs';
  appendFileSync(process.env.LIVES, 'x');
  const lives = readFileSync(process.env.LIVES, 'utf8').length;`;

test('a compute process that aborts is started again, and the supervisor ends with it when it ends cleanly', async () => {
  const { supervisor, messages, deaths } = supervise(`${COUNT_LIVES}
    process.stderr.write('F check.cc:1 life ' + lives + '\\n', () =>
      process.send({ lives }, () => { if (lives < 3) process.abort(); else process.exit(0); }));`);
  expect(await supervisor.run()).toBe(0);
  expect(messages).toEqual([{ lives: 1 }, { lives: 2 }, { lives: 3 }]);
  expect(deaths).toMatchObject([
    { signal: 'SIGABRT', lastWords: 'F check.cc:1 life 1', stopping: false },
    { signal: 'SIGABRT', lastWords: 'F check.cc:1 life 2', stopping: false },
  ]);
});

test('a compute process that cannot start is not started again', async () => {
  const { supervisor, stderr } = supervise(`${COUNT_LIVES}
    process.stderr.write('no GPU here, life ' + lives + '\\n', () => process.exit(1));`);
  expect(await supervisor.run()).toBe(1);
  expect(String(stderr.read())).toBe('no GPU here, life 1\n');
});

test('a signal is passed on, and the compute process may finish what it does', async () => {
  const { supervisor, messages, nextMessage } = supervise(`
    process.once('SIGTERM', () => process.send('finishing', () => process.exit(0)));
    setInterval(() => {}, 1000);
    process.send('up');`);
  const ended = supervisor.run();
  await nextMessage();
  supervisor.stop('SIGTERM');
  expect(await ended).toBe(0);
  expect(messages).toEqual(['up', 'finishing']);
});

test('a compute process that does not stop is killed', async () => {
  const { supervisor, deaths, nextMessage } = supervise(
    `process.on('SIGTERM', () => {});
     setInterval(() => {}, 1000);
     process.send('up');`,
    { stopGraceMs: 50 },
  );
  const ended = supervisor.run();
  await nextMessage();
  supervisor.stop('SIGTERM');
  expect(await ended).toBe(1);
  expect(deaths).toMatchObject([{ signal: 'SIGKILL', stopping: true }]);
});
