import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { InvalidInputError, StoreFullError, UnavailableError, newId } from '@roentgen/domain';
import { startStack, type Stack, type StackConnections } from '@roentgen/local-stack';
import { silentLogger } from '@roentgen/logger';
import { ObjectNotFoundError, S3ObjectStore, StoreAccessDeniedError, objectKeys, type S3Options } from '@roentgen/storage';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';

type Store = StackConnections['store'];

const shared = inject('stack').store;
const { MINIO_BIN } = process.env;
/** The store of the shared stack, and a real MinIO beside it where there is a program for one. */
const KINDS: readonly Store['kind'][] = shared.kind === 'minio' || MINIO_BIN === undefined ? [shared.kind] : [shared.kind, 'minio'];

const newBucket = () => `test-${randomBytes(4).toString('hex')}`;
const optionsFor = (store: Store, keys: { accessKey: string; secretKey: string } = store): S3Options => ({
  endpoint: store.endpoint,
  publicEndpoint: store.endpoint,
  region: 'us-east-1',
  bucket: newBucket(),
  accessKey: keys.accessKey,
  secretKey: keys.secretKey,
  startupTimeoutMs: 10_000,
});

const servers: Server[] = [];
const stacks: Stack[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await Promise.all(stacks.splice(0).map((stack) => stack.stop()));
});

describe.each(KINDS)('the object store (%s)', (kind) => {
  let facts: Store;
  let own: Stack | undefined;
  let store: S3ObjectStore;
  let options: S3Options;
  beforeAll(async () => {
    if (kind !== shared.kind) own = await startStack({ profile: 'ephemeral', natsUsers: [], minioBin: MINIO_BIN! });
    facts = own?.store ?? shared;
    options = optionsFor(facts);
    store = await S3ObjectStore.connect(options, silentLogger);
    await store.ensureBucket();
  });
  afterAll(() => own?.stop());

  test('returns what was put, of any size, and its size', async () => {
    for (const bytes of [0, 1, 70_000, 3_000_000]) {
      const content = randomBytes(bytes);
      await store.put(`sizes/${bytes}`, content, 'application/octet-stream');
      expect((await store.get(`sizes/${bytes}`)).equals(content)).toBe(true);
      expect(await store.stat(`sizes/${bytes}`)).toEqual({ bytes });
    }
    await store.put('view', new Uint8Array(Buffer.from('hello')).subarray(1, 3), 'text/plain');
    expect(String(await store.get('view'))).toBe('el');
  });

  test('keeps an object that comes in several parts whole', async () => {
    const content = Buffer.alloc(70 * 1024 * 1024, randomBytes(1024));
    let sent = 0;
    let received = 0;
    await store.put('large', content, 'application/octet-stream', () => sent++);
    expect((await store.get('large', () => received++)).equals(content)).toBe(true);
    expect(sent).toBeGreaterThan(5);
    expect(received).toBeGreaterThan(5);
    await store.copy('large', 'large copy');
    expect(await store.stat('large copy')).toEqual({ bytes: content.length });
  });

  test('leaves the thread free while a large object comes and goes', async () => {
    const content = Buffer.alloc(300_000_000, randomBytes(1024));
    const startedMs = performance.now();
    createHash('md5').update(content).digest();
    const hashedAtOnceMs = performance.now() - startedMs;
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    await store.put('very large', content, 'application/octet-stream');
    const read = await store.get('very large');
    delay.disable();
    expect(delay.max / 1e6).toBeLessThan(hashedAtOnceMs);
    expect(read.equals(content)).toBe(true);
  });

  test('streams', async () => {
    await store.put('stream', Buffer.from('line one\nline two'), 'text/plain');
    expect(await text(await store.stream('stream'))).toBe('line one\nline two');
  });

  test('replaces what was there', async () => {
    await store.put('again', Buffer.from('first and longer'), 'text/plain');
    await store.put('again', Buffer.from('second'), 'text/plain');
    expect(String(await store.get('again'))).toBe('second');
  });

  test('copies without touching the source, over what was there', async () => {
    await store.put('source', Buffer.from('content'), 'text/plain');
    await store.put('target', Buffer.from('old'), 'text/plain');
    await store.copy('source', 'target');
    await store.copy('source', 'target');
    expect(String(await store.get('target'))).toBe('content');
    expect(String(await store.get('source'))).toBe('content');
  });

  test('takes keys with any printable character', async () => {
    for (const key of ['with space', 'with+plus', 'with%percent', 'ümlaut', "quote'", 'a&b=c', 'q?uestion', 'hash#']) {
      await store.put(key, Buffer.from(key), 'text/plain');
      await store.copy(key, `copy of ${key}`);
      expect(String(await store.get(`copy of ${key}`)), key).toBe(key);
      const url = await store.presignGet(key, 60);
      expect(await (await fetch(url)).text(), key).toBe(key);
      await store.remove([key]);
      expect(await store.stat(key), key).toBeNull();
    }
  });

  test('says that an object is not there', async () => {
    expect(await store.stat('nothing')).toBeNull();
    for (const read of [() => store.get('nothing'), () => store.stream('nothing'), () => store.copy('nothing', 'something')]) {
      await expect(read()).rejects.toThrow(ObjectNotFoundError);
      await expect(read()).rejects.toThrow(/There is no object "nothing" in bucket "test-\w+" at http:/);
    }
    expect(await store.stat('something')).toBeNull();
  });

  test('removes many at once, also what is not there', async () => {
    const keys = Array.from({ length: 30 }, (_, i) => `many/${i}`);
    await Promise.all(keys.map((key) => store.put(key, Buffer.from(key), 'text/plain')));
    await store.remove([...keys, 'many/never']);
    await store.remove([]);
    expect(await Promise.all(keys.map((key) => store.stat(key)))).toEqual(keys.map(() => null));
  });

  test('makes its bucket once, whoever is first', async () => {
    const bucket = newBucket();
    const racing = await Promise.all(Array.from({ length: 5 }, () => S3ObjectStore.connect({ ...options, bucket }, silentLogger)));
    await Promise.all(racing.map((each) => each.ensureBucket()));
    await racing[0]!.put('key', Buffer.from('x'), 'text/plain');
    await racing[1]!.ensureBucket();
    expect(String(await racing[1]!.get('key'))).toBe('x');
  });

  test('without its bucket names the bucket', async () => {
    const missing = await S3ObjectStore.connect({ ...options, bucket: newBucket() }, silentLogger);
    await expect(missing.put('key', Buffer.from('x'), 'text/plain')).rejects.toThrow(/There is no bucket "test-\w+" at .* set-up/);
  });

  test('lets anyone with a signed URL put exactly that key', async () => {
    const key = objectKeys.staging(newId('upl'), 0);
    const url = await store.presignPut(key, 60);
    expect((await fetch(url, { method: 'PUT', body: 'sent by a client' })).status).toBe(200);
    expect(String(await store.get(key))).toBe('sent by a client');
    const elsewhere = url.replace(key, key.replace(/0$/, '1'));
    expect((await fetch(elsewhere, { method: 'PUT', body: 'x' })).status).toBe(403);
    expect((await fetch(url.replace(/X-Amz-Signature=.{4}/, 'X-Amz-Signature=0000'), { method: 'PUT', body: 'x' })).status).toBe(403);
    expect((await fetch(url)).status).toBe(403);
  });

  test('lets anyone with a signed URL get exactly that key, under the name it shall have', async () => {
    await store.put('report', Buffer.from('File,Label\n'), 'text/csv');
    const url = await store.presignGet('report', 60, 'Übersicht "1".csv');
    const response = await fetch(url);
    expect(await response.text()).toBe('File,Label\n');
    expect(response.headers.get('content-disposition')).toBe(
      `attachment; filename="_bersicht _1_.csv"; filename*=UTF-8''%C3%9Cbersicht%20%221%22.csv`,
    );
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(403);
    await expect(store.presignGet('report', 0)).rejects.toThrow(InvalidInputError);
    await expect(store.presignPut('report', 8 * 24 * 3600)).rejects.toThrow('cannot be valid for 691200 s');
  });

  test('signs for the address that clients know', async () => {
    const outside = await S3ObjectStore.connect({ ...options, publicEndpoint: 'https://files.example.org' }, silentLogger);
    expect(await outside.presignPut('key', 60)).toMatch(/^https:\/\/files\.example\.org\/test-\w+\/key\?X-Amz-/);
  });

  test('refuses wrong keys at the start, naming what to check', async () => {
    const wrong = S3ObjectStore.connect({ ...options, secretKey: 'wrong-wrong-wrong' }, silentLogger);
    await expect(wrong).rejects.toThrow(StoreAccessDeniedError);
    await expect(wrong).rejects.toThrow(/refused look-up of bucket .* Check S3_ACCESS_KEY and S3_SECRET_KEY/);
  });

  test("lets the worker's identity do what a worker does", async () => {
    const { accessKey, secretKey } = facts.worker;
    const working = await S3ObjectStore.connect({ ...options, accessKey, secretKey }, silentLogger);
    await store.put('staging/1', Buffer.from('image'), 'image/png');
    expect(String(await working.get('staging/1'))).toBe('image');
    await working.copy('staging/1', 'objects/1');
    await working.put('checkpoint', Buffer.from('weights'), 'application/octet-stream');
    expect(await working.stat('objects/1')).toEqual({ bytes: 5 });
  });
});

describe('a store', () => {
  /** A server that is no store: `answer` decides what it does with each request. */
  async function server(answer: Parameters<typeof createServer>[1]): Promise<string> {
    const listening = createServer(answer!).listen(0, '127.0.0.1');
    servers.push(listening);
    await once(listening, 'listening');
    const address = listening.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  test('that is not there is named, with the fix, when the time is up', async () => {
    const absent = S3ObjectStore.connect({ ...optionsFor(shared), endpoint: 'http://127.0.0.1:1', startupTimeoutMs: 700 }, silentLogger);
    await expect(absent).rejects.toThrow(UnavailableError);
    await expect(absent).rejects.toThrow(/The object store at http:\/\/127\.0\.0\.1:1 did not answer within 700 ms .* S3_ENDPOINT/);
  });

  test('that is no address at all is refused', async () => {
    await expect(S3ObjectStore.connect({ ...optionsFor(shared), endpoint: 'localhost:9000' }, silentLogger)).rejects.toThrow(
      /S3_ENDPOINT="localhost:9000" is not the address of an object store: expected http:\/\/host:port/,
    );
  });

  test.each([
    ['says so', 507, '<Error><Code>XMinioStorageFull</Code><Message>no space</Message></Error>', 1],
    ['answers to reads and fails what is written', 500, '<Error><Code>InternalError</Code><Message>try again</Message></Error>', 4],
  ])('that is full and %s is told from one that is away, until something as large finds room', async (_how, status, body, tries) => {
    let full = true;
    let puts = 0;
    const endpoint = await server((request, response) => {
      request.resume();
      if (request.method === 'HEAD') return void response.writeHead(404).end();
      puts++;
      const small = Number(request.headers['content-length']) < 1000;
      if (full && !small) return void response.writeHead(status, { 'content-type': 'application/xml' }).end(body);
      response.writeHead(200, { etag: '"e"' }).end();
    });
    const store = await S3ObjectStore.connect({ ...optionsFor(shared), endpoint }, silentLogger);
    await store.check();
    await expect(store.put('key', randomBytes(2000), 'text/plain')).rejects.toMatchObject({
      code: 'STORE_FULL',
      message: expect.stringMatching(/full.*(free|make) .*disk/i),
    });
    expect(puts).toBe(tries);
    await expect(store.check()).rejects.toThrow(StoreFullError);
    await store.put('small', randomBytes(10), 'text/plain');
    await expect(store.check()).rejects.toThrow(StoreFullError);
    full = false;
    await store.put('key', randomBytes(2000), 'text/plain');
    await store.check();
  });

  test('that fails reads as well is away, not full', async () => {
    let away = false;
    const endpoint = await server((request, response) => {
      request.resume();
      response.writeHead(away ? 500 : 404).end();
    });
    const store = await S3ObjectStore.connect({ ...optionsFor(shared), endpoint }, silentLogger);
    away = true;
    await expect(store.put('key', randomBytes(2000), 'text/plain')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    away = false;
    await store.check();
  });

  test('that hiccups is asked again; one that goes on failing is named', async () => {
    let requests = 0;
    let failing = 0;
    const endpoint = await server((request, response) => {
      if (request.method === 'HEAD') return void response.end();
      requests++;
      if (requests > failing) return void response.end('content');
      if (requests % 2 === 0) return void request.socket.destroy();
      response.writeHead(503).end();
    });
    const store = await S3ObjectStore.connect({ ...optionsFor(shared), endpoint }, silentLogger);
    failing = 2;
    expect(String(await store.get('key'))).toBe('content');
    expect(requests).toBe(3);
    failing = Number.POSITIVE_INFINITY;
    const failed = store.get('key');
    await expect(failed).rejects.toThrow(UnavailableError);
    await expect(failed).rejects.toThrow(/did not do download of object "key"/);
    expect(requests).toBe(7);
  });

  test('that breaks off in the middle of an object is asked for the whole of it again', async () => {
    let requests = 0;
    const endpoint = await server((request, response) => {
      if (request.method === 'HEAD') return void response.end();
      response.writeHead(200, { 'Content-Length': 10 });
      if (++requests > 1) return void response.end('0123456789');
      response.write('01234');
      setImmediate(() => request.socket.destroy());
    });
    const store = await S3ObjectStore.connect({ ...optionsFor(shared), endpoint }, silentLogger);
    expect(String(await store.get('key'))).toBe('0123456789');
  });

  test('that restarts is found again', async () => {
    const stack = await startStack({ profile: 'ephemeral', natsUsers: [] });
    stacks.push(stack);
    const part = stack.processes().find(({ name }) => name === 'store')!;
    const store = await S3ObjectStore.connect(optionsFor(stack.store), silentLogger);
    await store.ensureBucket();
    await store.put('key', Buffer.from('kept'), 'text/plain');
    await part.kill('SIGKILL');
    await expect(store.get('key')).rejects.toThrow(UnavailableError);
    await part.restart();
    expect(String(await store.get('key'))).toBe('kept');
  });
});
