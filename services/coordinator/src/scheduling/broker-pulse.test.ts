import { expect, test } from 'vitest';
import { BrokerPulse } from './broker-pulse.js';

test('the longer the broker does not answer, the longer its answer is due; it is asked once until then', async () => {
  let nowMs = 0;
  const answers: (() => void)[] = [];
  const bus = { connected: true, flush: () => new Promise<void>((resolve) => answers.push(resolve)) };
  const pulse = new BrokerPulse(bus, { now: () => new Date(nowMs) });
  expect(pulse.check()).toBe(0);
  nowMs = 400;
  expect([pulse.check(), answers.length]).toEqual([400, 1]);
  nowMs = 3_000;
  answers[0]?.();
  await Promise.resolve();
  nowMs = 3_001;
  // It answers again by now, and it did not for three seconds.
  expect([pulse.check(), answers.length]).toEqual([3_000, 2]);
  answers[1]?.();
  await Promise.resolve();
  expect(pulse.check()).toBe(0);
  bus.connected = false;
  expect(pulse.check()).toBe(Infinity);
  nowMs = 9_001;
  bus.connected = true;
  expect(pulse.check()).toBe(6_000);
});
