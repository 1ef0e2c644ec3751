import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectFiles, listImages } from './collect-files.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-files-'));
  mkdirSync(join(folder, 'images'));
  writeFileSync(join(folder, 'images', 'a.png'), 'bytes of a');
  writeFileSync(join(folder, 'images', 'empty.jpg'), '');
  writeFileSync(join(folder, 'labels.csv'), '');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('files are hashed, and all that cannot be sent are reported by line', async () => {
  const rows = ['images/gone.png', 'images/a.png', 'images/empty.jpg', 'images'].map((fileName, index) => ({
    line: index + 2,
    fileName,
    label: 'normal',
    patient: 'p',
  }));
  const seen: number[] = [];
  const { files, problems } = await collectFiles(folder, rows, 2, (done) => seen.push(done));
  expect(files).toMatchObject([
    { fileName: 'images/a.png', label: 'normal', patient: 'p', bytes: 10, sha256: createHash('sha256').update('bytes of a').digest('hex') },
  ]);
  expect(Buffer.from((await files[0]?.read()) ?? []).toString()).toBe('bytes of a');
  expect(problems.map(({ line, message }) => `${line}: ${message.replace(folder, 'DIR')}`)).toEqual([
    '2: "images/gone.png" has a label but is not in DIR',
    '4: "images/empty.jpg" has 0 bytes: an image file has 1 byte to 64 MiB',
    '5: "images" has a label but is not in DIR',
  ]);
  expect(seen).toEqual([1, 2, 3, 4]);
});

test('images are found below the folder too, other files are not', async () => {
  expect(await listImages(folder)).toEqual(['images/a.png', 'images/empty.jpg']);
});
