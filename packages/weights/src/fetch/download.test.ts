import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { download } from './download.js';

const FILE = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251));
const OPTIONS = { privateAddresses: true, limitBytes: 2 ** 20, retryMs: [1, 1, 1] };

let server: Server;
let folder: string;
let target: string;
/** What the server does with a request; each test sets it. */
let handle: (request: IncomingMessage, response: ServerResponse) => void;
const requests: IncomingMessage[] = [];

beforeEach(async () => {
  requests.length = 0;
  server = createServer((request, response) => {
    requests.push(request);
    handle(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  folder = mkdtempSync(join(tmpdir(), 'roentgen-download-'));
  target = join(folder, 'file');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const url = (path = '/file', host = '127.0.0.1') => `http://${host}:${(server.address() as AddressInfo).port}${path}`;

/** Ends the connection of the answer that is under way. */
let breakOff: () => void = () => undefined;
/** Breaks off when all that was sent before the cut has arrived and is on disk. */
const breakAfter = (...arrived: number[]) => ({
  ...OPTIONS,
  onProgress: (done: number) => (arrived.includes(done) ? breakOff() : undefined),
});

/** Serves the file with ranges, and sends of each of the first answers only so many bytes. */
function serve({ cuts = [] as number[], etag = '"one"' as string | null, content = FILE } = {}) {
  const left = [...cuts];
  handle = ({ headers }, response) => {
    const first = headers['if-range'] === etag ? Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0) : 0;
    if (first >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}`, ...(etag !== null && { etag }) }).end();
      return;
    }
    const body = content.subarray(first);
    response.writeHead(first > 0 ? 206 : 200, {
      'content-length': body.length,
      ...(etag !== null && { etag }),
      ...(first > 0 && { 'content-range': `bytes ${first}-${content.length - 1}/${content.length}` }),
    });
    const cut = left.shift();
    if (cut === undefined) response.end(body);
    else {
      breakOff = () => response.destroy();
      response.write(body.subarray(0, cut));
    }
  };
}

test('a file arrives whole, with progress', async () => {
  serve();
  const seen: [number, number | null][] = [];
  await download(url(), target, { ...OPTIONS, onProgress: (done, total) => seen.push([done, total]) });
  expect(readFileSync(target).equals(FILE)).toBe(true);
  expect(seen.at(-1)).toEqual([FILE.length, FILE.length]);
  expect([existsSync(`${target}.part`), existsSync(`${target}.part.json`)]).toEqual([false, false]);
});

test('a download that breaks goes on where it broke', async () => {
  serve({ cuts: [50_000, 60_000] });
  await download(url(), target, breakAfter(50_000, 110_000));
  expect(readFileSync(target).equals(FILE)).toBe(true);
  expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=50000-', 'bytes=110000-']);
});

test('what an earlier call left is gone on from, unless the file has changed since', async () => {
  serve({ cuts: [50_000] });
  await expect(download(url(), target, { ...breakAfter(50_000), retryMs: [] })).rejects.toMatchObject({ code: 'WEIGHTS_FETCH' });
  expect(existsSync(`${target}.part`)).toBe(true);
  const changed = Buffer.from(FILE.map((byte) => byte ^ 1));
  serve({ etag: '"two"', content: changed });
  await download(url(), target, OPTIONS);
  expect(requests.at(-1)?.headers).toMatchObject({ 'if-range': '"one"' });
  expect(readFileSync(target).equals(changed)).toBe(true);
});

/** As when this program ended between the last byte and the file's own name. */
function leave(bytes: Uint8Array, validator = '"one"') {
  writeFileSync(`${target}.part`, bytes);
  writeFileSync(`${target}.part.json`, JSON.stringify({ url: url(), validator }));
}

test('a part that is the whole file is taken as it is', async () => {
  serve();
  leave(FILE);
  const seen: [number, number | null][] = [];
  await download(url(), target, { ...OPTIONS, onProgress: (done, total) => seen.push([done, total]) });
  expect(readFileSync(target).equals(FILE)).toBe(true);
  expect(requests.map(({ headers }) => headers.range)).toEqual([`bytes=${FILE.length}-`]);
  expect(seen).toEqual([[FILE.length, FILE.length]]);
  expect([existsSync(`${target}.part`), existsSync(`${target}.part.json`)]).toEqual([false, false]);
});

test.each<[string, number, Readonly<Record<string, string>>]>([
  ['is longer than the file', 7, { 'content-range': `bytes */${FILE.length}` }],
  ['has the length of another file', 0, { 'content-range': `bytes */${FILE.length}`, etag: '"other"' }],
  ['has a length that the server does not confirm', 0, {}],
])('a part that %s is thrown away, and the download begins anew', async (_, more, headers) => {
  serve();
  const file = handle;
  handle = (request, response) => (request.headers.range === undefined ? file(request, response) : response.writeHead(416, headers).end());
  leave(Buffer.alloc(FILE.length + more, 1));
  await download(url(), target, { ...OPTIONS, retryMs: [] });
  expect(readFileSync(target).equals(FILE)).toBe(true);
  expect(requests.map(({ headers: { range } }) => range)).toEqual([`bytes=${FILE.length + more}-`, undefined]);
});

test('a whole part of a file that is too large is refused, and a server without any range is a refusal', async () => {
  serve();
  leave(FILE);
  await expect(download(url(), target, { ...OPTIONS, limitBytes: 1000 })).rejects.toMatchObject({ code: 'WEIGHTS_LIMIT' });
  rmSync(`${target}.part`);
  handle = (_request, response) => response.writeHead(416).end();
  await expect(download(url(), target, OPTIONS)).rejects.toThrow('the server answered HTTP 416');
});

test('what lies there of another address is not gone on from', async () => {
  serve();
  writeFileSync(`${target}.part`, Buffer.alloc(1000, 1));
  writeFileSync(`${target}.part.json`, JSON.stringify({ url: url('/other'), validator: '"one"' }));
  await download(url(), target, OPTIONS);
  expect(requests.map(({ headers }) => headers.range)).toEqual([undefined]);
  expect(readFileSync(target).equals(FILE)).toBe(true);
});

test('another range than was asked for is thrown away', async () => {
  serve();
  const file = handle;
  handle = (request, response) => {
    if (request.headers.range === undefined) return file(request, response);
    const headers = { 'content-range': `bytes 10-${FILE.length - 1}/${FILE.length}`, etag: '"one"' };
    response.writeHead(206, headers).end(FILE.subarray(10));
  };
  leave(FILE.subarray(0, 1000));
  await download(url(), target, OPTIONS);
  expect(requests.map(({ headers }) => headers.range)).toEqual(['bytes=1000-', undefined]);
  expect(readFileSync(target).equals(FILE)).toBe(true);
});

test.each([null, 'W/"one"'])('without a strong validator (%s) a broken download begins anew', async (etag) => {
  serve({ cuts: [50_000], etag });
  await download(url(), target, breakAfter(50_000));
  expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, undefined]);
  expect(readFileSync(target).equals(FILE)).toBe(true);
});

test('a server that keeps breaking off is given up', async () => {
  serve({ cuts: [1, 1, 1, 1, 1, 1] });
  await expect(download(url(), target, breakAfter(1, 2, 3, 4))).rejects.toMatchObject({ code: 'WEIGHTS_FETCH' });
  expect(requests).toHaveLength(4);
  expect(existsSync(target)).toBe(false);
});

test('a file that is too large is refused, announced or not', async () => {
  serve();
  await expect(download(url(), target, { ...OPTIONS, limitBytes: 1000 })).rejects.toThrow(
    `200000 bytes or more at ${url()}: at most 1000 are fetched`,
  );
  handle = (_request, response) => {
    response.write(FILE);
    response.write(FILE);
    response.end();
  };
  await expect(download(url(), target, { ...OPTIONS, limitBytes: FILE.length + 10 })).rejects.toMatchObject({ code: 'WEIGHTS_LIMIT' });
});

test('redirects are followed, a few of them, and only to web addresses', async () => {
  serve();
  const file = handle;
  handle = (request, response) =>
    request.url === '/file' ? file(request, response) : response.writeHead(302, { location: '/file' }).end();
  await download(url('/moved'), target, OPTIONS);
  expect(readFileSync(target).equals(FILE)).toBe(true);

  handle = (_request, response) => response.writeHead(302, { location: '/again' }).end();
  await expect(download(url(), target, OPTIONS)).rejects.toThrow('it redirects more than 5 times');
  handle = (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end();
  await expect(download(url(), target, OPTIONS)).rejects.toThrow('it redirects to "file:///etc/passwd", which is no web address');
});

test.each(['%zz', 'http://127.0.0.1/%zz.pth', 'ftp://127.0.0.1/w.pth', 'http://', 'file:///etc/passwd'])(
  'nothing is tried with %j, which is no address',
  async (address) => {
    const asked = download(address, target, { ...OPTIONS, retryMs: [3_600_000] });
    await expect(asked).rejects.toMatchObject({
      code: 'WEIGHTS_FETCH',
      value: `"${address}"`,
      rule: expect.stringContaining('hex digits'),
    });
  },
);

test('a refusal is final, a trouble of the server is not', async () => {
  handle = (_request, response) => response.writeHead(404).end();
  await expect(download(url(), target, OPTIONS)).rejects.toThrow('the server answered HTTP 404');
  expect(requests).toHaveLength(1);
  serve();
  const file = handle;
  handle = (request, response) => (requests.length < 4 ? response.writeHead(503).end() : file(request, response));
  await download(url(), target, OPTIONS);
  expect(readFileSync(target).equals(FILE)).toBe(true);
});

test('private addresses are refused, by number and by name, before anything is sent', async () => {
  serve();
  const guarded = { ...OPTIONS, privateAddresses: false };
  for (const host of ['127.0.0.1', '[::1]', '2130706433', 'localhost', '[::ffff:127.0.0.1]']) {
    await expect(download(url('/file', host), target, guarded), host).rejects.toThrow('only public addresses are fetched from');
  }
  expect(requests).toHaveLength(0);
});

test('it ends when it is asked to', async () => {
  handle = (_request, response) => response.write('x');
  const abort = new AbortController();
  const begun = download(url(), target, { ...OPTIONS, signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) });
  await expect(begun).rejects.toThrow('enough');
});
