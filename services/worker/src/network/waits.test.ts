import { expect, test } from 'vitest';
import { Waits } from './waits.js';

const away = { code: 'STORE_AWAY', message: 'The store does not answer.' } as const;
const full = { code: 'STORE_FULL', message: 'The store has no room.' } as const;

test('of several waits the one is told about which somebody has to do something, and none once all have ended', () => {
  const waits = new Waits();
  const [image, checkpoint] = [Symbol('image'), Symbol('checkpoint')];
  expect(waits.current).toBeNull();
  waits.begin(image, away);
  expect(waits.current).toEqual(away);
  waits.begin(checkpoint, full);
  waits.begin(checkpoint, full);
  expect(waits.current).toEqual(full);
  waits.end(checkpoint);
  expect(waits.current).toEqual(away);
  waits.end(image);
  waits.end(image);
  expect(waits.current).toBeNull();
});
