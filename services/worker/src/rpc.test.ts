import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { connectRpc, type Remote } from './rpc.js';
import type { AnsweringThread } from './testing/answering-thread.js';

const BOOT = new URL('./testing/thread-boot.mjs', import.meta.url);
const threads: Worker[] = [];
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.terminate()));
});

function thread(entry: string): Worker {
  const started = new Worker(BOOT, { workerData: { entry: new URL(entry, import.meta.url).href } });
  threads.push(started);
  return started;
}

/** What a long TensorFlow call does to the main thread. */
function blockMainThread(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('an error keeps its code, message and details on the way to the other thread', async () => {
  const other: Remote<AnsweringThread> = connectRpc<AnsweringThread, object>(thread('./testing/answering-thread.ts'), {});
  expect(await other.double(21)).toBe(42);
  await expect(other.fail()).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: 'globalBatchSize 50 does not divide',
    details: { globalBatchSize: 50 },
  });
  await expect(other.crash()).rejects.toMatchObject({ code: 'INTERNAL', message: 'x is undefined' });
});

test('shared memory arrives as itself: what the other thread writes is seen here', async () => {
  const other: Remote<AnsweringThread> = connectRpc<AnsweringThread, object>(thread('./testing/answering-thread.ts'), {});
  const view = new Uint8Array(new SharedArrayBuffer(256), 64, 128);
  await other.fill(view, 7);
  expect([...new Set(view)]).toEqual([7]);
});

test('the tensors of a checkpoint are handed over in both directions, not copied', async () => {
  const other: Remote<AnsweringThread> = connectRpc<AnsweringThread, object>(thread('./testing/answering-thread.ts'), {});
  const tensors = Uint8Array.of(1, 2, 3);
  const returned = await other.pass({ tensors, description: null });
  expect(tensors.length).toBe(0);
  expect(returned).toEqual({ tensors: Uint8Array.of(1, 2, 3), description: null });
  expect(await other.bytesLeftOfPassed()).toBe(0);
});

test('tensors that are a part of something larger are copied: the rest belongs to others', async () => {
  const other: Remote<AnsweringThread> = connectRpc<AnsweringThread, object>(thread('./testing/answering-thread.ts'), {});
  const file = Uint8Array.of(0, 1, 2, 3);
  expect(await other.pass({ tensors: file.subarray(1), description: null })).toMatchObject({ tensors: Uint8Array.of(1, 2, 3) });
  expect([...file]).toEqual([0, 1, 2, 3]);
});

test('heartbeats go on while the main thread computes for three seconds', async () => {
  const beating = thread('./testing/heartbeat-thread.ts');
  const beats: number[] = [];
  beating.on('message', (at: number) => beats.push(at));
  await expect.poll(() => beats.length, { timeout: 10_000 }).toBeGreaterThan(0);
  const blockedFrom = performance.timeOrigin + performance.now();
  blockMainThread(3000);
  const blockedUntil = performance.timeOrigin + performance.now();
  await expect.poll(() => beats.filter((at) => at > blockedUntil).length, { timeout: 10_000 }).toBeGreaterThan(0);
  const gaps = beats.slice(1).map((at, i) => at - beats[i]!);
  expect(beats.filter((at) => at > blockedFrom && at < blockedUntil).length).toBeGreaterThan(5);
  expect(Math.max(...gaps)).toBeLessThan(1500);
});
