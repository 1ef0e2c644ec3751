import { expect, test } from 'vitest';
import { mapConcurrently } from './concurrency.js';

test('results keep the order of the items and never more than so many calls are under way', async () => {
  let running = 0;
  let most = 0;
  const results = await mapConcurrently([5, 1, 4, 2, 3], 2, async (value) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, value));
    running--;
    return value * 10;
  });
  expect(results).toEqual([50, 10, 40, 20, 30]);
  expect(most).toBe(2);
  expect(await mapConcurrently([], 4, () => Promise.reject(new Error('never called')))).toEqual([]);
});

test('a failure starts nothing new and is thrown when what was under way has ended', async () => {
  const started: number[] = [];
  const ended: number[] = [];
  const run = mapConcurrently([1, 2, 3, 4], 2, async (value) => {
    started.push(value);
    await new Promise((resolve) => setTimeout(resolve, value * 5));
    if (value === 1) throw new Error('one failed');
    ended.push(value);
  });
  await expect(run).rejects.toThrow('one failed');
  expect(started).toEqual([1, 2]);
  expect(ended).toEqual([2]);
});

test('an abort ends it', async () => {
  const abort = new AbortController();
  const run = mapConcurrently(
    [1, 2, 3],
    1,
    (value) => Promise.resolve(value === 2 ? abort.abort(new Error('stopped')) : undefined),
    abort.signal,
  );
  await expect(run).rejects.toThrow('stopped');
});
