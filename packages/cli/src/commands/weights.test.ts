import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsageError } from '../failure.js';
import { Output } from '../output.js';
import { runCli } from '../run-cli.js';
import { cachedWeights } from '../weights/cached-weights.js';
import { defaultName, sourceOf } from './weights.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-cli-weights-'));
  writeFileSync(join(folder, 'b0.pth'), 'x');
  mkdirSync(join(folder, 'a-folder'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const sink = () => {
  const lines: string[] = [];
  const stream = new Writable({ write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString()), done()) });
  return { stream, text: () => lines.join('') };
};

test('what is to be imported is an address, a file on this disk, or a name of the catalogue', async () => {
  const path = join(folder, 'b0.pth');
  expect(await sourceOf(path)).toEqual({ kind: 'file', path });
  expect(await sourceOf('https://example.org/b0.pth')).toEqual({ kind: 'url', url: 'https://example.org/b0.pth' });
  expect(await sourceOf('lite0-imagenet')).toEqual({ kind: 'catalogue', name: 'lite0-imagenet' });
  await expect(sourceOf(join(folder, 'a-folder'))).rejects.toThrow('is no file');
  await expect(sourceOf('nobody')).rejects.toThrow('There is neither a file nobody here nor such a name in the catalogue');
});

test.each([
  [{ kind: 'file', path: '/data/my.model.weights.h5' }, 'my.model'],
  [{ kind: 'file', path: 'efficientnet-b0.PTH' }, 'efficientnet-b0'],
  [{ kind: 'url', url: 'https://example.org/files/my%20weights.safetensors?x=1' }, 'my weights'],
  [{ kind: 'url', url: 'https://example.org/' }, 'weights'],
  [{ kind: 'url', url: 'https://example.org/%ff.pth' }, '%ff'],
  [{ kind: 'catalogue', name: 'b0-keras' }, 'b0-keras'],
] as const)('without --name %j is called %s', (source, name) => {
  expect(defaultName(source)).toBe(name);
});

async function failing(...args: string[]) {
  const [stdout, stderr] = [sink(), sink()];
  // Where nothing listens: whatever is fetched or asked for ends in another error.
  const environment = { ROENTGEN_CACHE_DIR: folder, ROENTGEN_URL: 'http://127.0.0.1:9', ROENTGEN_TOKEN: 'none' };
  const exitCode = await runCli(['weights', 'import', ...args, '--json'], { stdout: stdout.stream, stderr: stderr.stream, environment });
  return { exitCode, error: JSON.parse(stdout.text()).error, stderr: stderr.text() };
}

test.each(['here', 'server'])('an address with half a %%XX is bad input with value, rule and fix (--fetch %s)', async (where) => {
  expect(await failing('http://127.0.0.1:9/%zz.pth', '--fetch', where)).toMatchObject({
    exitCode: 2,
    error: {
      code: 'WEIGHTS_FETCH',
      message: expect.stringMatching(/^"http:\/\/127\.0\.0\.1:9\/%zz\.pth": an address .*two hex digits behind each %\. Copy the address/),
    },
  });
});

test('flags are looked at before anything is fetched or sent, all of them', async () => {
  const flags = ['--variant', 'b9', '--library', 'caffe', '--sha256', 'abc', '--name', 'wts_1'];
  for (const what of ['http://127.0.0.1:9/w.pth', join(folder, 'b0.pth'), 'b0-keras']) {
    const { exitCode, error, stderr } = await failing(what, ...flags);
    expect(exitCode).toBe(2);
    expect(error.issues.map(({ field }: { field: string }) => field)).toEqual(['name', 'variant', 'library', 'sha256']);
    expect(error.message).toContain('--variant "b9" is none of B0, B1');
    expect(stderr).not.toMatch(/fetching|sending/);
  }
  const other = await failing('b0-keras', '--variant', 'b1');
  expect(other).toMatchObject({ exitCode: 2, error: { code: 'BAD_INPUT', message: expect.stringContaining('it is EfficientNet-B0') } });
  expect((await failing('http://127.0.0.1:9/w.pth', '--variant', 'b1')).error.code).toBe('WEIGHTS_FETCH');
});

test('the catalogue is listed without an API', async () => {
  const [stdout, stderr] = [sink(), sink()];
  const host = { stdout: stdout.stream, stderr: stderr.stream, environment: {} };
  expect(await runCli(['weights', 'catalogue', '--json'], host)).toBe(0);
  const { catalogue } = JSON.parse(stdout.text());
  expect(catalogue).toContainEqual(
    expect.objectContaining({ name: 'lite0-imagenet', variant: 'Lite0', classes: 1000, licence: 'Apache-2.0' }),
  );
});

test('the list says what each file is recognised by, in the numbers of the README', async () => {
  const [stdout, stderr] = [sink(), sink()];
  expect(await runCli(['weights', 'catalogue'], { stdout: stdout.stream, stderr: stderr.stream, environment: {} })).toBe(0);
  const lines = stdout.text().trimEnd().split('\n');
  const of = (words: RegExp) => lines.filter((line) => words.test(line)).map((line) => line.split(' ')[0]);
  expect(of(/ SHA-256 {2}/)).toEqual(['lite0-imagenet']);
  expect(of(/ SHA-256, 8 digits of 64 /)).toHaveLength(25);
  expect(of(/ MD5 /)).toHaveLength(8);
  const readme = await readFile(new URL('../../../../README.md', import.meta.url), 'utf8');
  expect(readme.replaceAll(/\s+/g, ' ')).toContain(
    'Of the 34 files one has its whole SHA-256 (`lite0-imagenet`), 25 only the first 8 digits',
  );
});

test('an address is fetched into the cache for the import only; one that cannot be is bad input', async () => {
  const server = createServer((request, response) =>
    request.url === '/w.pth' ? response.end('the weights') : response.writeHead(404).end(),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [stdout, stderr] = [sink(), sink()];
  const output = new Output({ json: false, stdout: stdout.stream, stderr: stderr.stream });
  const context = { output, signal: new AbortController().signal, environment: { ROENTGEN_CACHE_DIR: folder } };
  const fetched = await cachedWeights({ kind: 'url', url: `${base}/w.pth` }, context);
  expect(await readFile(fetched.path, 'utf8')).toBe('the weights');
  expect(fetched.path.startsWith(join(folder, 'weights'))).toBe(true);
  await fetched.release();
  await expect(readFile(fetched.path)).rejects.toThrow('ENOENT');
  await expect(cachedWeights({ kind: 'url', url: `${base}/none` }, context)).rejects.toThrow(UsageError);
  server.close();
});
