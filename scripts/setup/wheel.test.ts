import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { run } from './run.mjs';
import { installWheel, pipDownloadArguments } from './wheel.mjs';

let folder: string;
let target: string;
let scratch: string;
let wheel: Buffer;

/** A python3 first on the PATH whose pip hands out our wheel; everything else goes to the real one. */
async function fakePip(): Promise<void> {
  const real = (await run('python3', ['-c', 'import sys; print(sys.executable)'])).trim();
  const script = `#!/bin/sh
if [ "$1 $2" != "-m pip" ]; then exec ${real} "$@"; fi
while [ "$1" != "--dest" ]; do shift; done
mkdir "$TMPDIR/pip-unpack" && cp ${folder}/thing.zip "$TMPDIR/pip-unpack" && rm -r "$TMPDIR/pip-unpack"
cp ${folder}/thing.zip "$2/thing-1.0-py3-none-any.whl"
`;
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin', 'python3'), script);
  chmodSync(join(folder, 'bin', 'python3'), 0o755);
  vi.stubEnv('PATH', `${join(folder, 'bin')}:${process.env.PATH}`);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-wheel-'));
  [target, scratch] = [join(folder, 'target'), join(folder, 'scratch')];
  for (const path of [target, scratch]) mkdirSync(path);
  const members = `{'thing/lib/a.so': b'library', 'thing/include/x/a.h': b'header', 'thing/other.py': b'no'}`;
  const zip = `import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n for n, d in ${members}.items(): z.writestr(n, d)\n p = zipfile.ZipInfo('thing/bin/tool')\n p.external_attr = 0o755 << 16\n z.writestr(p, b'program')`;
  await run('python3', ['-c', zip, join(folder, 'thing.zip')]);
  wheel = readFileSync(join(folder, 'thing.zip'));
  await fakePip();
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const pin = (sha256: string) => ({ package: 'thing', version: '1.0', abi: 'none', platform: 'any', sha256, sizeBytes: wheel.length });
const sha256 = () => createHash('sha256').update(wheel).digest('hex');
const noReport = () => undefined;

test('only the chosen members are unpacked, under their new names, and the wheel is thrown away', async () => {
  await installWheel(
    pin(sha256()),
    { 'thing/lib/': 'lib/', 'thing/include/': 'include/', 'thing/bin/': 'bin/' },
    target,
    scratch,
    noReport,
  );
  expect(readFileSync(join(target, 'lib', 'a.so'), 'utf8')).toBe('library');
  expect(readFileSync(join(target, 'include', 'x', 'a.h'), 'utf8')).toBe('header');
  expect(statSync(join(target, 'bin', 'tool')).mode & 0o111).toBe(0o111);
  expect(readdirSync(target).sort()).toEqual(['bin', 'include', 'lib']);
  expect(readdirSync(join(scratch, 'thing')).filter((name) => name.endsWith('.whl'))).toEqual([]);
});

test('a wheel with another hash than the pinned one is refused before anything of it is unpacked', async () => {
  const install = installWheel(pin('0'.repeat(64)), { 'thing/lib/': 'lib/' }, target, scratch, noReport);
  await expect(install).rejects.toThrow(new RegExp(`has SHA-256 ${sha256()}, but 0{64} is pinned`));
  expect(readdirSync(target)).toEqual([]);
});

test('a wheel without an expected member is named', async () => {
  const install = installWheel(pin(sha256()), { 'thing/data/': 'data/' }, target, scratch, noReport);
  await expect(install).rejects.toThrow(/nothing in thing-1\.0-py3-none-any\.whl starts with 'thing\/data\/'/);
});

test('a member cannot leave the folder', async () => {
  const install = installWheel(pin(sha256()), { 'thing/lib/': '../outside/' }, target, scratch, noReport);
  await expect(install).rejects.toThrow(/leaves the folder/);
  expect(existsSync(join(folder, 'outside'))).toBe(false);
});

test('pip is asked for one file whatever the local Python is', () => {
  const args = pipDownloadArguments({
    ...pin(''),
    package: 'tensorflow-cpu',
    version: '2.21.0',
    abi: 'cp311',
    platform: 'manylinux_2_27_x86_64',
  }).join(' ');
  expect(args).toContain('--python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_27_x86_64 tensorflow-cpu==2.21.0');
  expect(args).toContain('--no-deps --only-binary=:all:');
});
