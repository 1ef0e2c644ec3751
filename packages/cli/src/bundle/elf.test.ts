import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadedElf } from './elf.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-elf-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a program without what the loader does not read runs as before', () => {
  const loaded = loadedElf(process.execPath);
  expect(loaded?.sizeBytes).toBeLessThan(statSync(process.execPath).size);
  const path = join(folder, 'node');
  writeFileSync(path, readFileSync(process.execPath).subarray(0, loaded?.sizeBytes), { mode: 0o755 });
  const file = openSync(path, 'r+');
  writeSync(file, loaded?.head ?? Buffer.alloc(0), 0, loaded?.head.length, 0);
  closeSync(file);
  const { stdout, status } = spawnSync(path, ['-p', 'process.version'], { encoding: 'utf8' });
  expect({ stdout, status }).toEqual({ stdout: `${process.version}\n`, status: 0 });
});

test.each([
  ['text', Buffer.from('#!/bin/sh\n')],
  ['nothing', Buffer.alloc(0)],
  ['a 32-bit file', Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 1, 1]), Buffer.alloc(100)])],
])('%s is left as it is', (_kind, bytes) => {
  const path = join(folder, 'file');
  writeFileSync(path, bytes);
  expect(loadedElf(path)).toBeNull();
});
