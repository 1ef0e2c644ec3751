import { spawnSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../run-cli.js';

let folder: string;
let report: { exitCode: number; stdout: string };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-bundle-'));
  let stdout = '';
  const [kept, ignored] = [
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        stdout += chunk.toString();
        done();
      },
    }),
    new Writable({ write: (_chunk, _encoding, done) => done() }),
  ];
  const args = ['worker', 'bundle', '--device', 'cpu', '--compression', 'fast', '--out', join(folder, 'parts'), '--json'];
  report = { exitCode: await runCli(args, { stdout: kept, stderr: ignored, environment: process.env }), stdout };
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As on a machine with nothing on it: no PATH, no home, and no network where this user may take it away. */
function alone(...command: string[]) {
  const unshare = ['/usr/bin/unshare', '--net', '--map-root-user'];
  const may = spawnSync(unshare[0]!, [...unshare.slice(1), '/bin/sh', '-c', ':']).status === 0;
  const [program = '', ...args] = may ? [...unshare, ...command] : command;
  return spawnSync(program, args, { encoding: 'utf8', env: { PATH: '' } });
}

// `npm run bundle:verify` runs the whole self-test, which takes minutes. This is what all of it stands on.
test('a bundle is unpacked in an empty folder, moved, and TensorFlow and the worker are loaded out of it alone', () => {
  const { device, files } = JSON.parse(report.stdout) as { device: string; files: { name: string; bytes: number }[] };
  expect({ device, exitCode: report.exitCode }).toEqual({ device: 'cpu', exitCode: 0 });
  expect(Math.max(...files.map((file) => file.bytes))).toBeLessThanOrEqual(60 * 2 ** 20);

  const unpacked = alone('/bin/sh', join(folder, 'parts', 'unpack.sh'), join(folder, 'unpacked'));
  expect({ status: unpacked.status, stderr: unpacked.stderr }).toEqual({ status: 0, stderr: '' });
  expect(unpacked.stdout).toContain('TensorFlow 2.21.0 loads on this machine');
  renameSync(join(folder, 'unpacked'), join(folder, 'moved'));
  rmSync(join(folder, 'parts'), { recursive: true });

  const program = join(folder, 'moved', 'bin', 'roentgen');
  const selftest = alone(program, 'worker', 'selftest', '--device', 'cuda', '--json');
  expect(JSON.parse(selftest.stdout)).toMatchObject({
    requestedDevice: 'cuda',
    libtensorflow: { version: '2.21.0', bindingPath: join(folder, 'moved', 'libtensorflow', 'lib', 'tfjs_binding.node') },
  });
  const worker = alone(program, 'worker');
  expect(worker.status).toBe(1);
  expect(worker.stderr).toContain('NATS_URL is not set');
  expect(alone(program, 'up')).toMatchObject({ status: 2, stderr: expect.stringContaining('usage: roentgen worker') });
});
