import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cacheDirectory, ensurePackage } from './cache.mjs';
import { SetupFailure } from './failure.mjs';
import { chooseDevice } from './index.mjs';
import { choosePins, libtensorflowFolder } from './libtensorflow.mjs';
import { withLock } from './lock.mjs';
import { satisfiesLock } from './node-packages.mjs';
import { createProgress, formatElapsed } from './progress.mjs';
import { isAtLeast, requireNode, requirePlatform, requireTools } from './requirements.mjs';
import { run } from './run.mjs';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'roentgen-cache-'));
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

const writeOne = (folder: string) => Promise.resolve(writeFileSync(join(folder, 'file'), 'content'));

/** The id of a process that is certainly gone. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

describe('a package of the cache', () => {
  test('is built once and then found', async () => {
    let builds = 0;
    const build = (folder: string) => {
      builds += 1;
      return writeOne(folder);
    };
    const folder = await ensurePackage(cache, 'thing-1.0', build);
    expect(await ensurePackage(cache, 'thing-1.0', build)).toBe(folder);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('content');
    expect(builds).toBe(1);
  });

  test('is absent after a build that failed, and nothing is left of it', async () => {
    const build = async (folder: string) => {
      await writeOne(folder);
      throw new Error('no network');
    };
    await expect(ensurePackage(cache, 'thing-1.0', build)).rejects.toThrow('no network');
    expect(existsSync(join(cache, 'thing-1.0'))).toBe(false);
    expect(readdirSync(join(cache, 'tmp'))).toEqual([]);
    expect(readdirSync(join(cache, 'locks'))).toEqual([]);
  });

  test('is built by one of two at a time', async () => {
    const order: string[] = [];
    const build = (name: string) => async (folder: string) => {
      order.push(name);
      await writeOne(folder);
    };
    await Promise.all([ensurePackage(cache, 'thing-1.0', build('one')), ensurePackage(cache, 'thing-1.0', build('two'))]);
    expect(order).toHaveLength(1);
  });

  test('is built anew after a process was killed at it, and its leftovers go', async () => {
    const owner = JSON.stringify({ host: hostname(), pid: deadPid(), startedAt: '1' });
    const leftover = join(cache, 'tmp', 'thing-1.0.123-456');
    mkdirSync(join(leftover, 'package'), { recursive: true });
    writeFileSync(join(leftover, 'owner.json'), owner);
    mkdirSync(join(cache, 'locks'));
    writeFileSync(join(cache, 'locks', 'thing-1.0.lock'), owner);
    await ensurePackage(cache, 'thing-1.0', writeOne);
    expect(existsSync(leftover)).toBe(false);
  });
});

describe('the lock', () => {
  test.each([
    ['a dead process', () => JSON.stringify({ host: hostname(), pid: deadPid(), startedAt: '1' })],
    ['a process whose id was given away again', () => JSON.stringify({ host: hostname(), pid: process.pid, startedAt: '1' })],
    ['nobody: cut off', () => '{"host":'],
  ])('of %s is taken over', async (_case, content) => {
    const path = join(cache, 'x.lock');
    writeFileSync(path, content());
    expect(await withLock(path, {}, () => Promise.resolve('done'))).toBe('done');
    expect(existsSync(path)).toBe(false);
  });

  test('of a live process is waited for, and its id is told', async () => {
    const path = join(cache, 'x.lock');
    const waitedFor: number[] = [];
    let release: () => void = () => undefined;
    const first = withLock(path, {}, () => new Promise<void>((resolve) => (release = resolve)));
    const second = withLock(path, { onWait: ({ pid }) => waitedFor.push(pid) && release() }, () => Promise.resolve('second'));
    await first;
    expect(await second).toBe('second');
    expect(waitedFor).toContain(process.pid);
  });
});

test('the cache is where the user says, else in the cache folder of the platform', () => {
  expect(cacheDirectory({ ROENTGEN_CACHE_DIR: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
  expect(cacheDirectory({ ROENTGEN_CACHE_DIR: '', XDG_CACHE_HOME: '/b' })).toBe('/b/roentgen');
});

test('node_modules fits the lock when every package is there in its version; those for other platforms may be absent', () => {
  const lock = {
    packages: { '': {}, 'node_modules/a': { version: '1.0.0' }, 'node_modules/mac-only': { version: '2.0.0', optional: true } },
  };
  expect(satisfiesLock(lock, { packages: { 'node_modules/a': { version: '1.0.0' } } })).toBe(true);
  expect(satisfiesLock(lock, { packages: { 'node_modules/a': { version: '1.0.1' } } })).toBe(false);
  expect(satisfiesLock(lock, { packages: {} })).toBe(false);
  expect(
    satisfiesLock(lock, { packages: { 'node_modules/a': { version: '1.0.0' }, 'node_modules/left-behind': { version: '1.0.0' } } }),
  ).toBe(false);
});

describe('what the machine must have', () => {
  test('versions compare as numbers', () => {
    expect(isAtLeast('20.9.0', [20, 11])).toBe(false);
    expect(isAtLeast('20.11.0', [20, 11])).toBe(true);
    expect(isAtLeast('22.0.0', [20, 11])).toBe(true);
  });

  test('an old Node, another system, musl and an old glibc are named', () => {
    expect(() => requireNode('18.19.0')).toThrow(/Node 18\.19\.0 .* 20\.11/);
    expect(() => requirePlatform({ platform: 'darwin', arch: 'arm64', glibc: undefined })).toThrow(/darwin arm64/);
    expect(() => requirePlatform({ platform: 'linux', arch: 'x64', glibc: undefined })).toThrow(/musl/);
    expect(() => requirePlatform({ platform: 'linux', arch: 'x64', glibc: '2.17' })).toThrow(/glibc 2\.17 .* 2\.27/);
    expect(() => requirePlatform({ platform: 'linux', arch: 'x64', glibc: '2.36' })).not.toThrow();
  });

  test('every missing tool is named at once, with the way to get it', () => {
    const nothing = () => undefined;
    expect(() => requireTools(nothing)).toThrow(SetupFailure);
    expect(() => requireTools(nothing)).toThrow(
      /python3 is missing[\s\S]*apt-get install python3[\s\S]*g\+\+ is missing[\s\S]*apt-get install g\+\+/,
    );
    const oldPip = (_command: string, args: string[]) => (args.includes('pip') ? 'pip 9.0.1 from x' : 'ok');
    expect(() => requireTools(oldPip)).toThrow(/pip 9\.0\.1 is too old/);
  });
});

test('the GPU build is taken where an NVIDIA driver answers', () => {
  expect(chooseDevice('auto', () => true)).toBe('cuda');
  expect(chooseDevice('auto', () => false)).toBe('cpu');
  expect(chooseDevice('cpu', () => true)).toBe('cpu');
  expect(() => chooseDevice('tpu')).toThrow(/"tpu"; it can be auto, cpu or cuda/);
});

test('another wheel, addon or device never shares a cache folder', () => {
  const pins = { version: '2.21.0', cpu: [{ sha256: 'a' }], cuda: [{ sha256: 'b' }] };
  const folders = [
    libtensorflowFolder('cpu', pins, '4.22.0'),
    libtensorflowFolder('cuda', pins, '4.22.0'),
    libtensorflowFolder('cpu', pins, '4.23.0'),
    libtensorflowFolder('cpu', { ...pins, cpu: [{ sha256: 'c' }] }, '4.22.0'),
  ];
  expect(new Set(folders).size).toBe(4);
  expect(folders[0]).toMatch(/^libtensorflow-2\.21\.0-cpu-[0-9a-f]{12}$/);
});

test("NVIDIA's libraries are left out where they are not wanted and not there already", () => {
  const pins = { version: '2.21.0', cpu: [{ sha256: 'a' }], cuda: [{ sha256: 'b' }, { sha256: 'c' }] };
  const choose = (device: 'cpu' | 'cuda', cudaLibraries: boolean, thereIs: string[] = []) =>
    choosePins(pins, device, { cudaLibraries, version: '4.22.0', isThere: (folder) => thereIs.includes(folder) });
  expect(choose('cuda', false).cuda).toEqual([{ sha256: 'b' }]);
  expect(choose('cuda', false, [libtensorflowFolder('cuda', pins, '4.22.0')])).toBe(pins);
  expect(choose('cuda', true)).toBe(pins);
  expect(choose('cpu', false)).toBe(pins);
  expect(libtensorflowFolder('cuda', choose('cuda', false), '4.22.0')).not.toBe(libtensorflowFolder('cuda', pins, '4.22.0'));
});

test('a program that fails is shown with its last lines and the fix', async () => {
  const failing = run(process.execPath, ['-e', 'console.error("no space left"); process.exit(3)'], { fix: 'free some' });
  await expect(failing).rejects.toThrow(/exit code 3[\s\S]*no space left[\s\S]*→ free some/);
});

test('progress is plain lines where there is no terminal', async () => {
  const lines: string[] = [];
  const progress = createProgress({ write: (text: string) => lines.push(text) });
  await progress.task('download', () => Promise.resolve());
  await expect(progress.task('compile', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(lines.join('')).toMatch(/… download\n {2}✓ download 0\.0 s\n {2}… compile\n {2}✗ compile 0\.0 s\n/);
  expect([formatElapsed(2_340), formatElapsed(75_000), formatElapsed(125_000)]).toEqual(['2.3 s', '75 s', '2 min 5 s']);
});
