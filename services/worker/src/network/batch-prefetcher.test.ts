import { expect, test } from 'vitest';
import { AttemptEndedError } from '../errors.js';
import { BatchPrefetcher } from './batch-prefetcher.js';
import { SlotRing } from './slot-ring.js';

const ring = (slots: number) => new SlotRing(slots, { microBatches: 1, microBatchSize: 1, imageBytes: 3 });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('as many batches are filled ahead as there are slots, and no more', async () => {
  const filled: number[] = [];
  const slots = ring(3);
  const batches = new BatchPrefetcher({
    ring: slots,
    first: 4,
    end: 20,
    fill: (index, slot) => Promise.resolve((filled.push(index), slot.index)),
  });
  await settled();
  expect(filled).toEqual([4, 5, 6]);
  slots.release(await batches.take(4));
  await settled();
  expect(filled).toEqual([4, 5, 6, 7]);
});

test('batches come in the order in which they are asked for, also when a later one is ready first', async () => {
  let finishFirst = (): void => undefined;
  const batches = new BatchPrefetcher({
    ring: ring(2),
    first: 0,
    end: 2,
    fill: (index) =>
      index === 0 ? new Promise<string>((resolve) => (finishFirst = () => resolve('batch 0'))) : Promise.resolve('batch 1'),
  });
  const first = batches.take(0);
  await settled();
  finishFirst();
  expect([await first, await batches.take(1)]).toEqual(['batch 0', 'batch 1']);
});

test('a batch whose image is missing fails when it is asked for; the ones before it are fine', async () => {
  const batches = new BatchPrefetcher({
    ring: ring(2),
    first: 0,
    end: 2,
    fill: (index) => (index === 1 ? Promise.reject(new Error('xray-7.png is not in the store')) : Promise.resolve(index)),
  });
  expect(await batches.take(0)).toBe(0);
  await expect(batches.take(1)).rejects.toThrow('xray-7.png');
});

test('closing wakes whoever waits for a batch', async () => {
  const batches = new BatchPrefetcher({ ring: ring(1), first: 0, end: 9, fill: () => new Promise<never>(() => undefined) });
  const waiting = batches.take(3);
  batches.close();
  await expect(waiting).rejects.toThrow(AttemptEndedError);
  await expect(batches.take(0)).rejects.toThrow(AttemptEndedError);
});
