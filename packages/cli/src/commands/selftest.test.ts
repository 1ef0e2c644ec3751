import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { runCli } from '../run-cli.js';

async function run(...args: string[]) {
  const texts = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof texts) =>
    new Writable({
      write: (chunk: Buffer, _, done) => {
        texts[name] += chunk.toString();
        done();
      },
    });
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, CUDA_VISIBLE_DEVICES: '-1' };
  const exitCode = await runCli(args, { stdout: sink('stdout'), stderr: sink('stderr'), environment });
  return { exitCode, ...texts };
}

test('a device that there is no such kind of is bad usage', async () => {
  const { exitCode, stdout, stderr } = await run('worker', 'selftest', '--device', 'tpu');
  expect(exitCode).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain("argument 'tpu' is invalid. Allowed choices are auto, cpu, cuda.");
});

test('the report of a failing self-test is the only object on stdout, and its exit code is passed on', async () => {
  const { exitCode, stdout, stderr } = await run('worker', 'selftest', '--device', 'cuda', '--json');
  expect(exitCode).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ verdict: 'FAIL', requestedDevice: 'cuda', device: null, passed: 0, failed: 1 });
  expect(stderr).toContain('FAIL    device');
});
