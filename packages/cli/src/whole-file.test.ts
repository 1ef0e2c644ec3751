import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UsageError } from './failure.js';
import { writeOutput, writeOutputFolder } from './whole-file.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-out-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a file that cannot be written whole leaves the old one, and nothing beside it', () => {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, 'the old model');
  // The shell limits how large a file may grow; Node sees EFBIG half-way.
  const script = `import { writeOutput } from ${JSON.stringify(join(import.meta.dirname, 'whole-file.ts'))};
    process.on('SIGXFSZ', () => undefined);
    writeOutput(${JSON.stringify(path)}, new Uint8Array(5e6)).catch((error) => console.log(error.name, error.message));`;
  writeFileSync(join(folder, 'write.mts'), script);
  const told = execFileSync('bash', ['-c', `ulimit -f 2000; exec "$0" --import tsx "$1"`, process.execPath, join(folder, 'write.mts')], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  expect(told).toMatch(/^Error Cannot write .*model\.onnx: .*What was there before is still there\./);
  expect(readFileSync(path, 'utf8')).toBe('the old model');
  expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'write.mts']);
});

test('a link goes on pointing where it did, and its folder is made where it is missing', async () => {
  writeFileSync(join(folder, 'real.csv'), 'old');
  symlinkSync(join(folder, 'real.csv'), join(folder, 'link.csv'));
  await writeOutput(join(folder, 'link.csv'), 'new');
  expect(readFileSync(join(folder, 'real.csv'), 'utf8')).toBe('new');
  await writeOutput(join(folder, 'a/b/new.csv'), 'x');
  expect(readFileSync(join(folder, 'a/b/new.csv'), 'utf8')).toBe('x');
});

test('what is no file is written to as it is', async () => {
  await writeOutput('/dev/null', 'x');
  expect(existsSync('/dev/null.tmp')).toBe(false);
});

test('a path that cannot be is bad usage', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(writeOutput(join(folder, 'file/model.onnx'), 'x')).rejects.toThrow(UsageError);
});

test('a folder is there with all its files or not at all', async () => {
  const out = join(folder, 'saved');
  mkdirSync(out);
  await writeOutputFolder(
    out,
    new Map([
      ['a/b', Uint8Array.of(1)],
      ['c', Uint8Array.of(2)],
    ]),
  );
  expect(readdirSync(out).sort()).toEqual(['a', 'c']);
  const broken = new Map([
    ['x', Uint8Array.of(1)],
    ['x/y', Uint8Array.of(2)],
  ]);
  await expect(writeOutputFolder(join(folder, 'other'), broken)).rejects.toThrow('Cannot write');
  expect(readdirSync(folder)).toEqual(['saved']);
});
