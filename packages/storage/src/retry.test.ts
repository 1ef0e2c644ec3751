import { expect, test } from 'vitest';
import { withRetries } from './retry.js';

const policy = { attempts: 3, firstDelayMs: 1 };

/** Fails as often as it is told, then answers. */
function flaky(failures: number) {
  let calls = 0;
  return { act: async () => (++calls <= failures ? Promise.reject(new Error(`failure ${calls}`)) : calls), calls: () => calls };
}

test('a failure that may pass is tried again until it does', async () => {
  expect(await withRetries(policy, () => true, flaky(2).act)).toBe(3);
});

test('after the last attempt its error is thrown', async () => {
  const { act, calls } = flaky(9);
  await expect(withRetries(policy, () => true, act)).rejects.toThrow('failure 3');
  expect(calls()).toBe(3);
});

test('a failure that will not pass is not tried again', async () => {
  const { act, calls } = flaky(1);
  await expect(withRetries(policy, () => false, act)).rejects.toThrow('failure 1');
  expect(calls()).toBe(1);
});
