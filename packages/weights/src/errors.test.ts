import { expect, test } from 'vitest';
import { WeightsFileError, listed } from './errors.js';

test('however long or strange what a file says, the error is a text that can be sent, stored and shown', () => {
  const error = new WeightsFileError('WEIGHTS_MALFORMED', {
    value: `\u001b[2J\u0000\ud800${'x'.repeat(5_000_000)}`,
    rule: 'y'.repeat(5_000_000),
  });
  expect(error.message.length).toBeLessThan(70_000);
  expect(JSON.stringify(error.details).length).toBeLessThan(70_000);
  expect(error.value.startsWith('\uFFFD[2J\uFFFD\uFFFDxxx')).toBe(true);
  expect(error.message).toContain('x…: yyy');
  const plain = new WeightsFileError('WEIGHTS_MALFORMED', { value: 'größe\n→ 1', rule: '🫁 of 2' });
  expect(plain).toMatchObject({ value: 'größe\n→ 1', rule: '🫁 of 2' });
});

test('of many names the first are listed and the rest is counted', () => {
  const names = Array.from({ length: 52 }, (_, i) => `tensor ${i}`);
  expect(listed(names.slice(0, 50))).toEqual(names.slice(0, 50));
  expect(listed(names)).toEqual([...names.slice(0, 50), 'and 2 more']);
  expect(listed(['n'.repeat(121), 'm'.repeat(120)])).toEqual([`${'n'.repeat(120)}…`, 'm'.repeat(120)]);
});
