import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const started: number[] = [];
afterEach(() =>
  started
    .splice(0)
    .filter(lives)
    .forEach((pid) => process.kill(pid, 'SIGKILL')),
);

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a compute process whose supervisor is killed goes with it, although its main thread hears nothing', async () => {
  const busy = fileURLToPath(new URL('../testing/busy-process.mjs', import.meta.url));
  const program = `require('node:child_process').spawn(process.execPath, [${JSON.stringify(busy)}], { stdio: 'inherit' })`;
  const supervisor = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  started.push(supervisor.pid!);
  const [line] = (await once(supervisor.stdout, 'data')) as [Buffer];
  const computing = Number(String(line));
  started.push(computing);
  expect(lives(computing)).toBe(true);
  supervisor.kill('SIGKILL');
  await expect.poll(() => lives(computing), { timeout: 10_000 }).toBe(false);
});
