import { expect, test, vi } from 'vitest';
import { NotFoundError, StoreFullError, UnavailableError } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { AttemptEndedError } from '../errors.js';
import { patiently } from './patience.js';
import { Waits } from './waits.js';

const quick = { patienceMs: 2000, firstPauseMs: 1, longestPauseMs: 2, logger: silentLogger };

/** Fails so many times, then works. */
function flaky(failures: number, error: Error): { operation: () => Promise<string>; calls: () => number } {
  let calls = 0;
  return { operation: () => (++calls <= failures ? Promise.reject(error) : Promise.resolve('bytes')), calls: () => calls };
}

const hangUp = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });

test.each([new UnavailableError('store is restarting'), hangUp])('a store that comes back costs time, not the run: %s', async (error) => {
  expect(await patiently('image', flaky(3, error).operation, quick)).toBe('bytes');
});

test('an object that is not there is not asked for again', async () => {
  const { operation, calls } = flaky(9, new NotFoundError('no such object'));
  await expect(patiently('image', operation, quick)).rejects.toThrow(NotFoundError);
  expect(calls()).toBe(1);
});

test.each([
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' }),
  Object.assign(new Error('EACCES: permission denied, open'), { code: 'EACCES', syscall: 'open' }),
  new TypeError('keys is not a function'),
])('what is not the store’s comes out as it is, at once: %s', async (error) => {
  const { operation, calls } = flaky(9, error);
  await expect(patiently('image', operation, quick)).rejects.toBe(error);
  expect(calls()).toBe(1);
});

test('patience ends, with the last error as the cause', async () => {
  const { operation } = flaky(Infinity, hangUp);
  await expect(patiently('manifest', operation, { ...quick, patienceMs: 20 })).rejects.toThrow(/manifest.*socket hang up/);
});

test('work that should end soon does not wait for the store', async () => {
  const { operation, calls } = flaky(Infinity, hangUp);
  await expect(patiently('image', operation, { ...quick, inHurry: () => true })).rejects.toThrow(UnavailableError);
  expect(calls()).toBe(1);
});

test('work that should end soon while it pauses tries once more, now', async () => {
  let hurry = false;
  const { operation, calls } = flaky(Infinity, new StoreFullError('no room'));
  const slow = { ...quick, firstPauseMs: 600_000, longestPauseMs: 600_000, patienceMs: 1_200_000 };
  const waiting = patiently('checkpoint', operation, { ...slow, inHurry: () => hurry });
  await vi.waitFor(() => expect(calls()).toBe(1));
  hurry = true;
  await expect(waiting).rejects.toThrow(StoreFullError);
  expect(calls()).toBe(2);
});

test('work that is no longer wanted is not begun', async () => {
  const { operation, calls } = flaky(0, new Error());
  await expect(patiently('image', operation, { ...quick, signal: AbortSignal.abort() })).rejects.toThrow(AttemptEndedError);
  expect(calls()).toBe(0);
});

test('a store that is full is waited for however long it takes, and what is waited for is told meanwhile', async () => {
  const waits = new Waits();
  const seen: unknown[] = [];
  const { operation, calls } = flaky(30, new StoreFullError('no room'));
  const looking = () => (seen.push(waits.current?.code ?? null), operation());
  expect(await patiently('checkpoint', looking, { ...quick, patienceMs: 5, waits })).toBe('bytes');
  expect(calls()).toBe(31);
  expect([...new Set(seen)]).toEqual([null, 'STORE_FULL']);
  expect(waits.current).toBeNull();
});

test('work that should end soon does not wait for room, and nothing is left waiting', async () => {
  const waits = new Waits();
  const { operation } = flaky(Infinity, new StoreFullError('no room'));
  await expect(patiently('checkpoint', operation, { ...quick, waits, inHurry: () => true })).rejects.toThrow(StoreFullError);
  expect(waits.current).toBeNull();
});

test('what came through counts as progress, what failed does not', async () => {
  let progress = 0;
  await patiently('image', flaky(3, hangUp).operation, { ...quick, onProgress: () => progress++ });
  expect(progress).toBe(1);
});
