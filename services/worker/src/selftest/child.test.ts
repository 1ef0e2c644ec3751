import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { childRunner } from './child.js';
import type { Task } from './tasks.js';

const task: Task = { kind: 'training', libtensorflowPath: null };
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'roentgen-selftest-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(code: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) {
  const path = join(folder, 'child.mjs');
  writeFileSync(path, code);
  const { timeoutMs = 15_000, signal = new AbortController().signal } = options;
  return childRunner({ entry: pathToFileURL(path), execArgv: [], timeoutMs, signal })(task, { ANSWER: '42' });
}
const SAY = `process.send({ type: 'failed', code: process.env.ANSWER, message: JSON.parse(process.argv[2]).kind });`;

test('a process gets its task and its environment, and what it says comes back', async () => {
  expect(await run(`${SAY} process.disconnect();`)).toEqual({
    messages: [{ type: 'failed', code: '42', message: 'training' }],
    ended: null,
    stderr: '',
  });
});

test('a process that aborts leaves what it had said, how it ended and its last words', async () => {
  const result = await run(`${SAY} process.stderr.write('Check failed\\n', () => process.kill(process.pid, 'SIGABRT'));`);
  expect(result).toMatchObject({ messages: [{ code: '42' }], ended: 'its process was ended by SIGABRT', stderr: 'Check failed\n' });
});

test('a process that hangs is killed', async () => {
  expect(await run(`for (;;);`, { timeoutMs: 300 })).toMatchObject({ messages: [], ended: 'took longer than 0.3 s and was killed' });
});

test('an interruption ends it', async () => {
  const interruption = new AbortController();
  const running = run(`${SAY} for (;;);`, { signal: interruption.signal });
  interruption.abort();
  await expect(running).rejects.toMatchObject({ name: 'AbortError' });
});
