import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { BatchTooLargeError } from '../errors.js';
import { SlotRing } from './slot-ring.js';

const shape = { microBatches: 2, microBatchSize: 3, imageBytes: 5 * 5 * 3 };

test('slots do not overlap and start where TensorFlow reads them in place', async () => {
  const ring = new SlotRing(2, shape);
  const slots = [await ring.acquire(), await ring.acquire()];
  const arrays = slots.flatMap((slot) => slot!.microBatches.flatMap(({ images, labels, weights }) => [images, labels, weights]));
  expect(arrays).toHaveLength(12);
  arrays.forEach((array, i) => array.fill(i + 1));
  arrays.forEach((array, i) => {
    expect(array.byteOffset % 64).toBe(0);
    expect([...array]).toEqual(Array.from({ length: array.length }, () => i + 1));
  });
});

test('a slot is given out again only after it was released, to whoever has waited longest', async () => {
  const ring = new SlotRing(1, shape);
  const first = await ring.acquire();
  const order: string[] = [];
  const second = ring.acquire().then((slot) => (order.push('second'), slot));
  const third = ring.acquire().then((slot) => (order.push('third'), slot));
  await Promise.resolve();
  expect(order).toEqual([]);
  ring.release(first!.index);
  expect((await second)!.index).toBe(first!.index);
  ring.release(first!.index);
  await third;
  expect(order).toEqual(['second', 'third']);
});

test('a slot cannot be released twice', async () => {
  const ring = new SlotRing(2, shape);
  const slot = await ring.acquire();
  ring.release(slot!.index);
  expect(() => ring.release(slot!.index)).toThrow(RangeError);
  expect(() => ring.release(7)).toThrow(RangeError);
});

test('whoever waits for a slot of a closed ring gets none', async () => {
  const ring = new SlotRing(1, shape);
  await ring.acquire();
  const waiting = ring.acquire();
  ring.close();
  expect(await waiting).toBeNull();
  expect(await ring.acquire()).toBeNull();
});

test('another thread sees the same bytes, not a copy', async () => {
  const ring = new SlotRing(1, shape);
  const { images } = (await ring.acquire())!.microBatches[0]!;
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(images);
  const received = receiveMessageOnPort(port2)?.message as Uint8Array;
  images[7] = 42;
  expect(received[7]).toBe(42);
  expect(received.length).toBe(images.length);
  port1.close();
});

test('slots that no shared memory can hold are refused with the way out', () => {
  const large = () => new SlotRing(3, { microBatches: 128, microBatchSize: 8, imageBytes: 1024 ** 2 * 3 });
  expect(large).toThrow(BatchTooLargeError);
  expect(large).toThrow(/3 batches of 1024 images need 96\d{8} bytes, at most 4294967296 can be held: use a smaller globalBatchSize/);
});
