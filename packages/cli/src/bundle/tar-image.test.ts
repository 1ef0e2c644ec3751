import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TarImage, type TarEntry } from './tar-image.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-tar-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const text = (path: string, content: string): TarEntry => ({ path, executable: false, source: { bytes: Buffer.from(content) } });

test('any range of the archive is the same bytes as in the whole of it, also where a file has another beginning', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'abcdefghij'.repeat(200));
  const image = new TarImage([
    text('a', 'first'),
    { path: 'b', executable: true, source: { file, sizeBytes: 1500, head: Buffer.from('HEAD') } },
    { path: 'c', executable: false, source: { link: 'a' } },
  ]);
  const whole = await image.read(0, image.sizeBytes);
  expect(whole.length).toBe(image.sizeBytes);
  const contentAt = 512 + 512 + 512;
  expect(whole.subarray(contentAt, contentAt + 12).toString()).toBe('HEADefghijab');
  for (const [offset, length] of [
    [0, 1],
    [511, 2],
    [contentAt + 2, 5],
    [700, 2500],
    [image.sizeBytes - 3, 10],
  ] as const)
    expect((await image.read(offset, length)).equals(whole.subarray(offset, offset + length))).toBe(true);
});

test('other programs read the archive', async () => {
  const long = `${'folder/'.repeat(20)}${'n'.repeat(90)}`;
  const image = new TarImage([text(long, 'deep'), { path: 'link', executable: false, source: { link: '../elsewhere' } }]);
  const input = await image.read(0, image.sizeBytes);
  const { stdout } = spawnSync('tar', ['-tvf', '-', '--utc', '--numeric-owner'], { input, encoding: 'utf8' });
  expect(stdout.split('\n').slice(0, 2)).toEqual([
    expect.stringMatching(`^-rw-r--r-- 0/0 +4 1970-01-01 00:00 ${long}$`),
    expect.stringMatching(/^lrw-r--r-- 0\/0 +0 1970-01-01 00:00 link -> \.\.\/elsewhere$/),
  ]);
});

test('a path that no header holds, and a file that became shorter, are errors that name them', async () => {
  expect(() => new TarImage([text('n'.repeat(101), '')])).toThrow(/longer than a tar header holds/);
  const file = join(folder, 'file');
  writeFileSync(file, 'x'.repeat(100));
  const image = new TarImage([{ path: 'a', executable: false, source: { file, sizeBytes: 100 } }]);
  truncateSync(file, 50);
  await expect(image.read(0, image.sizeBytes)).rejects.toThrow(/file became shorter while it was packed/);
});
