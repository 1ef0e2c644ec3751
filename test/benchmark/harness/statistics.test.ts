import { expect, test } from 'vitest';
import { median, medianRatio, orderOfRound, rounded } from './statistics.js';

test('the median is the middle value, whatever the order', () => {
  expect(median([30, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 100])).toBe(3.5);
  expect(median([7])).toBe(7);
});

test('no values have no median', () => {
  expect(median([])).toBeNaN();
});

test('ratios are taken within a round, so a round that is slow for everybody changes nothing', () => {
  expect(medianRatio([50, 500, 50], [100, 1000, 100])).toBe(0.5);
});

test('one disturbed round does not decide', () => {
  expect(medianRatio([50, 900, 50], [100, 100, 100])).toBe(0.5);
});

test('every second round runs backwards', () => {
  expect([0, 1, 2].map((round) => orderOfRound(['a', 'b', 'c'], round).join(''))).toEqual(['abc', 'cba', 'abc']);
});

test('figures keep four digits', () => {
  expect(rounded(443.2178)).toBe(443.2);
  expect(rounded(0.123456)).toBe(0.1235);
});
