import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { REPOSITORY_ROOT } from '../up/service.js';
import type { LockedPackages } from './closure.js';
import { bundleContents } from './contents.js';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'roentgen-contents-'));
  for (const path of ['lib', 'nvidia/cudnn/lib', 'nvidia/cudnn/include']) mkdirSync(join(cache, path), { recursive: true });
  for (const path of ['lib/tfjs_binding.node', 'nvidia/cudnn/lib/libcudnn.so.9', 'nvidia/cudnn/include/cudnn.h'])
    writeFileSync(join(cache, path), path);
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

const { packages } = JSON.parse(readFileSync(join(REPOSITORY_ROOT, 'package-lock.json'), 'utf8')) as { packages: LockedPackages };
const contents = (withCudaLibraries = false) =>
  bundleContents({
    root: REPOSITORY_ROOT,
    packages,
    nodePath: process.execPath,
    libtensorflow: { version: '2.21.0', device: withCudaLibraries ? 'cuda' : 'cpu', folder: cache, withCudaLibraries },
  });
const pathsOf = (withCudaLibraries = false) => contents(withCudaLibraries).map((entry) => entry.path);

test('the worker is there with what it loads, and nothing of the other processes, the tests and the other systems', () => {
  const paths = pathsOf();
  for (const path of [
    'bin/roentgen',
    'services/worker/src/main.ts',
    'services/worker/src/selftest-main.ts',
    'packages/training/fixtures/keras-b0-batch.safetensors',
    'node_modules/@roentgen/training',
    'node_modules/tsx/package.json',
    'node_modules/@esbuild/linux-x64/bin/esbuild',
    'libtensorflow/lib/tfjs_binding.node',
    'LICENSE',
    'LICENSES.txt',
  ])
    expect(paths).toContain(path);
  const unwanted =
    /\.test\.ts$|^services\/(gateway|coordinator)|^packages\/(cli|database|client)|@apollo|vitest|@tensorflow\/tfjs|win32|darwin/;
  expect(paths.filter((path) => unwanted.test(path))).toEqual([]);
  expect(new Set(paths).size).toBe(paths.length);
});

test('what changes least comes first', () => {
  const tops = pathsOf().map((path) => path.split('/')[0]);
  expect(tops[0]).toBe('libtensorflow');
  expect(tops.lastIndexOf('libtensorflow')).toBeLessThan(tops.indexOf('node_modules'));
  expect(tops.lastIndexOf('node_modules')).toBeLessThan(tops.indexOf('services'));
});

test("NVIDIA's libraries come along when they are asked for, without their headers, and the record says where", () => {
  expect(pathsOf(true)).toContain('libtensorflow/nvidia/cudnn/lib/libcudnn.so.9');
  expect(pathsOf(true).filter((path) => /^libtensorflow.*\.h$/.test(path))).toEqual([]);
  expect(pathsOf().filter((path) => path.includes('nvidia'))).toEqual([]);
  const record = contents(true).find((entry) => entry.path === 'node_modules/.roentgen/installation.json');
  const bytes = record !== undefined && 'bytes' in record.source ? record.source.bytes.toString() : '';
  expect(JSON.parse(bytes)).toEqual({
    libtensorflow: {
      version: '2.21.0',
      device: 'cuda',
      bindingPath: '../../libtensorflow/lib/tfjs_binding.node',
      cudaDirectory: '../../libtensorflow/nvidia/cuda_nvcc',
    },
  });
});
