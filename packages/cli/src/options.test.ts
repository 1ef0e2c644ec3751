import { expect, test } from 'vitest';
import { byteSize, positiveNumber, rangeNumber, splitFractions, wholeNumber } from './options.js';

test('--fractions are three shares that add up to 1', () => {
  expect(splitFractions('0.7,0.15,0.15')).toEqual({ train: 0.7, val: 0.15, test: 0.15 });
  expect(splitFractions('0.8, 0.2, 0')).toEqual({ train: 0.8, val: 0.2, test: 0 });
  expect(() => splitFractions('0.7,0.2,0.2')).toThrow('add up to 1.1, not to 1');
  expect(() => splitFractions('0.7,0.3')).toThrow('three numbers');
  expect(() => splitFractions('0.7,,0.3')).toThrow('three numbers');
  expect(() => splitFractions('0,0.5,0.5')).toThrow('nothing to learn from');
});

test('numbers are read strictly', () => {
  expect(wholeNumber({ min: 1, max: 64 })('8')).toBe(8);
  for (const text of ['', ' ', '0', '65', '1.5', '8x', 'NaN']) expect(() => wholeNumber({ min: 1, max: 64 })(text)).toThrow('from 1 to 64');
  expect(positiveNumber('1e-3')).toBe(0.001);
  for (const text of ['0', '-1', 'x', '']) expect(() => positiveNumber(text)).toThrow('above 0');
  expect(rangeNumber('0')).toBe(0);
  for (const text of ['-1', 'x', ' ', 'Infinity']) expect(() => rangeNumber(text)).toThrow('at least 0');
});

test('sizes are whole numbers with a unit that says whether it is 1000 or 1024', () => {
  const size = byteSize({ min: 2 ** 20, max: 2 ** 30 });
  expect([size('60MiB'), size('1GiB'), size('2048KiB'), size('1048576')]).toEqual([62_914_560, 2 ** 30, 2 ** 21, 2 ** 20]);
  for (const text of ['', '60', '60MB', '60 MiB', '1.5MiB', '2GiB', '-1MiB', '1TiB']) expect(() => size(text)).toThrow('a size like 60MiB');
});
