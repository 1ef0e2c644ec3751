import { expect, test } from 'vitest';
import { angleDistance, maxDistance, meanDistance, relativeL2 } from './distances.js';

const distances = { maxDistance, relativeL2, angleDistance, meanDistance };

test.each(Object.entries(distances))('%s of a vector to itself is 0', (_, distance) => {
  expect(distance([3, -4], [3, -4])).toBe(0);
});

test('distances are those of their formulas', () => {
  expect(maxDistance([3, -5], [3, -4])).toBe(1 / 4);
  expect(relativeL2([3, -6], [3, -4])).toBe(2 / 5);
  expect(angleDistance([1, 0], [0, 7])).toBe(1);
  expect(meanDistance([10, 20], [12, 20])).toBe(1);
});

test.each(Object.entries(distances))('%s is infinite where a number is missing, wherever it stands', (_, distance) => {
  expect(distance([NaN, 1], [1, 1])).toBe(Infinity);
  expect(distance([1, NaN], [1, 1])).toBe(Infinity);
  expect(distance([1, 1], [NaN, 1])).toBe(Infinity);
});

test('of nothing but zeros only zeros are near', () => {
  expect(maxDistance([0, 0], [0, 0])).toBe(0);
  expect(maxDistance([1e-9, 0], [0, 0])).toBe(Infinity);
  expect(relativeL2([1e-9, 0], [0, 0])).toBe(Infinity);
});

test.each(Object.entries(distances))('%s compares only vectors of one length', (_, distance) => {
  expect(() => distance([1], [1, 2])).toThrow('ours has 1 numbers, theirs 2.');
});
