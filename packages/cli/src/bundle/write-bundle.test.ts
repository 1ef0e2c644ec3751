import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FrameStore } from './frame-store.js';
import type { TarEntry } from './tar-image.js';
import { frameBytesFor, writeBundle, type BundleOptions } from './write-bundle.js';

const TEMPLATES = fileURLToPath(new URL('../../bundle/', import.meta.url));
const MIB = 2 ** 20;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-bundle-'));
  // A Node that is small to carry.
  writeFileSync(join(folder, 'node'), `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes that do not compress, the same each time. */
function noise(bytes: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes; at += 32) pieces.push(createHash('sha256').update(String(at)).digest());
  return Buffer.concat(pieces).subarray(0, bytes);
}

const ENTRIES: readonly TarEntry[] = [
  { path: 'lib/noise.bin', executable: false, source: { bytes: noise(3 * MIB + 7) } },
  { path: 'bin/tool', executable: true, source: { bytes: Buffer.from('#!/bin/sh\necho works\n') } },
  { path: 'node_modules/@own/a', executable: false, source: { link: '../../lib' } },
  { path: 'empty', executable: false, source: { bytes: Buffer.alloc(0) } },
];

const build = (out: string, options: Partial<BundleOptions> = {}) =>
  writeBundle({
    entries: ENTRIES,
    runtime: { node: join(folder, 'node') },
    binding: null,
    description: { device: 'cpu' },
    out: join(folder, out),
    partBytes: MIB,
    compression: 'fast',
    frames: FrameStore.none(),
    templates: TEMPLATES,
    signal: new AbortController().signal,
    onProgress: () => undefined,
    ...options,
  });

const unpack = (out: string, target: string) =>
  spawnSync('/bin/sh', [join(folder, out, 'unpack.sh'), join(folder, target)], { encoding: 'utf8', env: { PATH: '' } });

describe('a bundle', () => {
  test('has parts that are no larger than asked for, and sums of all its files', async () => {
    const { files, archive } = await build('out');
    expect(files.map((file) => file.name)).toEqual([
      'runtime-001.part',
      ...['worker-001.part', 'worker-002.part', 'worker-003.part', 'worker-004.part'],
      ...['manifest.json', 'unpack.mjs', 'unpack.sh', 'SHA256SUMS'],
    ]);
    expect(Math.max(...files.map((file) => file.bytes))).toBeLessThanOrEqual(MIB);
    expect(archive.bytes).toBeGreaterThan(3 * MIB);
    expect(spawnSync('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: join(folder, 'out') }).status).toBe(0);
  });

  test('has the same bytes when it is built again', async () => {
    const first = await build('first');
    utimesSync(join(folder, 'node'), 0, 0);
    expect((await build('second')).files).toEqual(first.files);
  });

  test('keeps small files together in one part', async () => {
    const { files } = await build('out', { entries: ENTRIES.slice(1) });
    expect(files.filter((file) => file.name.startsWith('worker-'))).toHaveLength(1);
  });

  test('keeps the parts that are there, makes a damaged one again, and removes those of a larger one', async () => {
    const whole = await build('out');
    truncateSync(join(folder, 'out', 'worker-002.part'), 10);
    const again = await build('out');
    expect(again.files).toEqual(whole.files);
    expect(again.keptParts).toBe(4);
    await build('out', { entries: ENTRIES.slice(1) });
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(
      ['SHA256SUMS', 'manifest.json', 'runtime-001.part', 'unpack.mjs', 'unpack.sh', 'worker-001.part'].sort(),
    );
  });

  test.each(['thesis.txt', 'manifest.json'])('is not written into a folder with something else in it: %s', async (name) => {
    mkdirSync(join(folder, 'out'));
    writeFileSync(join(folder, 'out', name), '{"work": "of years"}');
    await expect(build('out')).rejects.toThrow(`out is not empty and no bundle: ${name} is in it`);
    expect(readFileSync(join(folder, 'out', name), 'utf8')).toBe('{"work": "of years"}');
  });

  test('cannot be unpacked while it is in the making', async () => {
    await build('out');
    const interruption = new AbortController();
    const building = build('out', { signal: interruption.signal, onProgress: () => interruption.abort(new Error('Ctrl-C')) });
    await expect(building).rejects.toThrow('Ctrl-C');
    expect(existsSync(join(folder, 'out', 'unpack.sh'))).toBe(false);
    expect(existsSync(join(folder, 'out', 'manifest.json'))).toBe(false);
  });

  test('takes frames that were compressed before, but never a damaged one', async () => {
    const frames = () => FrameStore.in(join(folder, 'frames'));
    const first = await build('first', { frames: frames() });
    expect(first).toMatchObject({ frames: 4, reusedFrames: 0 });
    const stored = readdirSync(join(folder, 'frames'));
    truncateSync(join(folder, 'frames', stored[0]!), 100);
    const second = await build('second', { frames: frames() });
    expect(second).toMatchObject({ frames: 4, reusedFrames: 3, files: first.files });
    expect(await build('third', { frames: frames() })).toMatchObject({ reusedFrames: 4, files: first.files });
    FrameStore.in(join(folder, 'frames')).prune(Date.now() + 31 * 86_400_000);
    expect(readdirSync(join(folder, 'frames'))).toEqual([]);
  });
});

test('even noise, compressed best, fits into a part', async () => {
  const { files } = await build('out', {
    entries: [{ path: 'noise', executable: false, source: { bytes: noise(frameBytesFor(MIB)) } }],
    compression: 'best',
  });
  expect(Math.max(...files.map((file) => file.bytes))).toBeLessThanOrEqual(MIB);
});

describe('unpack.sh', () => {
  test('needs no PATH, and gives the files back with their modes and links', async () => {
    await build('out');
    const { status, stdout, stderr } = unpack('out', 'target');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`${folder}/target/bin/roentgen worker selftest`);
    const target = (path: string) => join(folder, 'target', path);
    expect(readFileSync(target('lib/noise.bin')).equals(noise(3 * MIB + 7))).toBe(true);
    expect(spawnSync(target('bin/tool'), { encoding: 'utf8' }).stdout).toBe('works\n');
    expect(statSync(target('lib/noise.bin')).mode & 0o777).toBe(0o644);
    expect(readlinkSync(target('node_modules/@own/a'))).toBe('../../lib');
    expect(statSync(target('empty')).size).toBe(0);
    expect(readdirSync(join(folder, 'target')).sort()).toEqual(['bin', 'empty', 'lib', 'node_modules', 'runtime']);
  });

  const damages: [string, (out: string) => void, RegExp][] = [
    ['a part is missing', (out) => rmSync(join(out, 'worker-003.part')), /worker-003\.part is missing/],
    [
      'a byte of a part is another one',
      (out) => flipByte(join(out, 'worker-002.part')),
      /worker-002\.part is damaged: its SHA-256 is [0-9a-f]{64}/,
    ],
    ['a part of Node is missing', (out) => rmSync(join(out, 'runtime-001.part')), /runtime-001\.part is missing/],
    ['a part of Node is cut off', (out) => truncateSync(join(out, 'runtime-001.part'), 20), /runtime-001\.part is damaged/],
    ['the manifest is of another bundle', (out) => flipByte(join(out, 'manifest.json')), /manifest\.json is damaged/],
  ];
  test.each(damages)('when %s, says which and writes nothing', async (_case, damage, message) => {
    await build('out');
    damage(join(folder, 'out'));
    const { status, stderr } = unpack('out', 'target');
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(readdirSync(join(folder, 'target'))).toEqual(['.unpacking']);
  });

  test('names all parts that have to be brought again at once', async () => {
    await build('out');
    rmSync(join(folder, 'out', 'worker-001.part'));
    flipByte(join(folder, 'out', 'worker-004.part'));
    expect(unpack('out', 'target').stderr).toMatch(/worker-001\.part is missing\nworker-004\.part is damaged/);
  });

  test('goes on after it was interrupted, and refuses a folder with something in it', async () => {
    await build('out');
    mkdirSync(join(folder, 'target', '.unpacking', 'lib'), { recursive: true });
    writeFileSync(join(folder, 'target', '.unpacking', 'lib', 'noise.bin'), 'half');
    expect(unpack('out', 'target').status).toBe(0);
    const second = unpack('out', 'target');
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/target is not empty \(bin is in it\)/);
  });

  test('works from and into folders with a space in the name', async () => {
    await build('the out');
    chmodSync(join(folder, 'the out', 'unpack.sh'), 0o644);
    expect(unpack('the out', 'the target')).toMatchObject({ status: 0, stderr: '' });
  });

  test('without a folder tells how it is used', async () => {
    await build('out');
    const { status, stderr } = spawnSync('/bin/sh', [join(folder, 'out', 'unpack.sh')], { encoding: 'utf8', env: { PATH: '' } });
    expect(status).toBe(2);
    expect(stderr).toContain('usage: sh unpack.sh FOLDER');
  });
});

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[100] = bytes[100]! ^ 1;
  writeFileSync(path, bytes);
}
