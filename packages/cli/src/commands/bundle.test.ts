import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { runCli } from '../run-cli.js';

async function run(...args: string[]) {
  let stderr = '';
  const ignored = new Writable({ write: (_chunk, _encoding, done) => done() });
  const kept = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      stderr += chunk.toString();
      done();
    },
  });
  return { exitCode: await runCli(['worker', 'bundle', ...args], { stdout: ignored, stderr: kept, environment: {} }), stderr };
}

test.each([
  ['no device', ['--out', 'x'], /--device/],
  ['a device that there is no such kind of', ['--device', 'auto', '--out', 'x'], /Allowed choices are cpu, cuda/],
  ['no folder', ['--device', 'cpu'], /--out/],
  ['a size without a unit that is too small', ['--device', 'cpu', '--out', 'x', '--part-size', '60'], /a size like 60MiB/],
  ['CUDA libraries for a CPU', ['--device', 'cpu', '--out', 'x', '--with-cuda-libraries'], /goes with --device cuda/],
])('%s is bad usage', async (_case, args, message) => {
  const { exitCode, stderr } = await run(...args);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(message);
});
