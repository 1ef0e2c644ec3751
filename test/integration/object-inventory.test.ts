import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { UnavailableError } from '@roentgen/domain';
import { startStack, type Stack } from '@roentgen/local-stack';
import { silentLogger } from '@roentgen/logger';
import { S3ObjectInventory, S3ObjectStore } from '@roentgen/storage';
import { TcpProxy } from '../testkit/tcp-proxy.js';

const shared = inject('stack').store;
const { MINIO_BIN } = process.env;
/** The store of the shared stack, and a real MinIO beside it where there is a program for one. */
const KINDS = shared.kind === 'minio' || MINIO_BIN === undefined ? [shared.kind] : [shared.kind, 'minio' as const];

describe.each(KINDS)('what is in the object store (%s)', (kind) => {
  let own: Stack | undefined;
  let store: S3ObjectStore;
  let inventory: S3ObjectInventory;
  let options: ConstructorParameters<typeof S3ObjectInventory>[0];
  const put = (key: string, text = key) => store.put(key, Buffer.from(text), 'text/plain');

  beforeAll(async () => {
    if (kind !== shared.kind) own = await startStack({ profile: 'ephemeral', natsUsers: [], minioBin: MINIO_BIN! });
    const { endpoint, accessKey, secretKey } = own?.store ?? shared;
    const bucket = `test-${randomBytes(4).toString('hex')}`;
    options = { endpoint, publicEndpoint: endpoint, region: 'us-east-1', bucket, accessKey, secretKey };
    store = await S3ObjectStore.connect({ ...options, startupTimeoutMs: 10_000 }, silentLogger);
    await store.ensureBucket();
    inventory = new S3ObjectInventory(options);
  });
  afterAll(() => own?.stop());

  test('is listed in the order of the keys, page after page, each object once', async () => {
    const keys = ['a', 'b/1', 'b/10', 'b/2', 'b/c/1', 'b/c/2', 'b0', 'c/x'].map((key) => `list/${key}`);
    for (const key of [...keys].reverse()) await put(key);
    const seen: string[] = [];
    for (let after = ''; ;) {
      const page = await inventory.list('list/', after, 3);
      seen.push(...page.map(({ key }) => key));
      if (page.length === 0) break;
      after = page.at(-1)!.key;
    }
    // The order may be the store's own; what counts is that going on after the last key of a page leaves nothing out.
    expect([...seen].sort()).toEqual([...keys].sort());
    expect((await inventory.list('list/b/', '', 1000)).map(({ key }) => key)).toHaveLength(5);
    const [first] = await inventory.list('list/a', '', 1);
    expect(first).toMatchObject({ key: 'list/a', bytes: 6 });
    expect(Math.abs(Date.now() - Date.parse(first!.modifiedAt))).toBeLessThan(60_000);
  });

  test('goes when its removal arrives in time, also what is not there', async () => {
    await put('removed/1');
    await put('removed/ü 2');
    await put('removed/3');
    const keys = ['removed/1', 'removed/ü 2', 'removed/never'];
    const removals = await inventory.signRemovals([...keys, 'removed/3'], 60);
    const results = await removals.send(keys);
    expect(results.map(({ failure }) => failure)).toEqual([null, null, null]);
    expect((await inventory.list('removed/', '', 10)).map(({ key }) => key)).toEqual(['removed/3']);
  });

  test('stays when its removal arrives too late: the store itself refuses it', async () => {
    await put('late');
    const removals = await inventory.signRemovals(['late'], 1);
    await vi.waitFor(
      async () => {
        await put('late'); // had it come in time, the next look would not find it
        expect(await removals.send(['late'])).toEqual([{ key: 'late', failure: expect.stringMatching(/^HTTP 403/) as string }]);
      },
      { timeout: 10_000, interval: 200 },
    );
    expect(await store.stat('late')).not.toBeNull();
  });

  test('includes uploads in parts that were never completed, until they are given up', async () => {
    const { hostname: host, port } = new URL(options.endpoint);
    const proxy = await TcpProxy.open({ host, port: Number(port) });
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    const sender = await S3ObjectStore.connect({ ...options, endpoint, startupTimeoutMs: 10_000 }, silentLogger);
    const sent = sender.put('parts/big', Buffer.alloc(120_000_000), 'text/plain').catch((error: unknown) => error);
    await vi.waitFor(async () => expect(await inventory.incompleteUploads('parts/big')).not.toEqual([]), { timeout: 20_000, interval: 5 });
    await proxy.close();
    expect(await sent).toBeInstanceOf(Error);
    const found = await inventory.incompleteUploads('parts/big');
    expect(found).toMatchObject([{ key: 'parts/big' }]);
    expect(await inventory.incompleteUploads('other/')).toEqual([]);
    await inventory.abortUpload(found[0]!);
    await inventory.abortUpload(found[0]!);
    expect(await inventory.incompleteUploads('parts/big')).toEqual([]);
  });

  test('cannot be told of a bucket that is not there', async () => {
    await expect(new S3ObjectInventory({ ...options, bucket: 'test-nowhere' }).list('', '', 10)).rejects.toThrow(UnavailableError);
  });
});
