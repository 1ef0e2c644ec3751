import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Service, ServiceStartError } from './service.js';

const TIMINGS = { readyTimeoutMs: 15_000, stopTimeoutMs: 5_000, firstRestartMs: 20, longestRestartMs: 100, settledAfterMs: 60_000 };

/** Says that it is ready, writes down its start and a clean end, and dies with code 7 when the file `die` appears. */
const OBEDIENT = `
import { appendFileSync, existsSync, rmSync } from 'node:fs';
const folder = process.env.FOLDER;
appendFileSync(folder + '/lives', process.pid + '\\n');
process.once('SIGTERM', () => { appendFileSync(folder + '/ends', 'clean\\n'); process.exit(0); });
setInterval(() => { if (existsSync(folder + '/die')) { rmSync(folder + '/die'); process.exit(7); } }, 10);
console.log('a line that is not JSON');
console.log(JSON.stringify({ ready: 'test', pid: process.pid }));
`;

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'roentgen-service-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function service(code: string, onCrash: (name: string, reason: string) => void = () => undefined): Service {
  const entryPoint = join(folder, 'service.mjs');
  writeFileSync(entryPoint, code);
  return new Service(
    { name: 'test', entryPoint, environment: { PATH: process.env.PATH ?? '', FOLDER: folder }, logPath: join(folder, 'test.log') },
    onCrash,
    TIMINGS,
  );
}

const lives = (): string[] => readFileSync(join(folder, 'lives'), 'utf8').trim().split('\n');
const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

describe('a service of `up`', () => {
  test('is started, waited for, and ended cleanly', async () => {
    const one = service(OBEDIENT);
    expect(await one.start()).toMatchObject({ ready: 'test', pid: one.pid });
    await one.stop();
    await one.stop();
    expect(readFileSync(join(folder, 'ends'), 'utf8')).toBe('clean\n');
    expect(one.pid).toBeUndefined();
  });

  test('is started again when it ends by itself, and not after stop', async () => {
    const crashes: string[] = [];
    const one = service(OBEDIENT, (_, reason) => crashes.push(reason));
    await one.start();
    writeFileSync(join(folder, 'die'), '');
    await vi.waitFor(() => expect(lives()).toHaveLength(2), 10_000);
    expect(crashes).toEqual(['ended with exit code 7']);
    await one.stop();
    expect(lives()).toHaveLength(2);
  });

  test('that ends before it is ready fails with the end of its log', async () => {
    const one = service(`console.error('NATS_URL is not set'); process.exit(1);`);
    await expect(one.start()).rejects.toThrow(ServiceStartError);
    await expect(one.start()).rejects.toThrow(/test ended with exit code 1\. The end of .*test\.log:\n {2}NATS_URL is not set/);
  });

  test('does not outlive its parent, even one that was killed', async () => {
    service(OBEDIENT);
    const parent = join(folder, 'parent.mts');
    writeFileSync(
      parent,
      `import { Service } from ${JSON.stringify(new URL('./service.ts', import.meta.url).href)};
       await new Service({ name: 'test', entryPoint: ${JSON.stringify(join(folder, 'service.mjs'))}, environment: { FOLDER: ${JSON.stringify(folder)} }, logPath: ${JSON.stringify(join(folder, 'test.log'))} }, () => undefined).start();
       console.log('up');`,
    );
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), parent], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const pid = Number(lives()[0]);
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 10_000);
    expect(readFileSync(join(folder, 'ends'), 'utf8')).toBe('clean\n');
  });
});
