import { expect, test } from 'vitest';
import { RestartBackoff } from './restart-backoff.js';

const options = { firstMs: 500, longestMs: 3000, healthyAfterMs: 60_000 };

test('a process that keeps dying is started again after longer and longer pauses, up to a limit', () => {
  const backoff = new RestartBackoff(options);
  expect([10, 10, 10, 10, 10].map((livedMs) => backoff.pauseAfter(livedMs))).toEqual([500, 1000, 2000, 3000, 3000]);
});

test('a process that ran for a while is started again soon', () => {
  const backoff = new RestartBackoff(options);
  backoff.pauseAfter(10);
  backoff.pauseAfter(10);
  expect(backoff.pauseAfter(60_000)).toBe(500);
  expect(backoff.pauseAfter(10)).toBe(1000);
});
