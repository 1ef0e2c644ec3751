import { expect, test } from 'vitest';
import { growthOf, median, storyOf, type Sample } from './flatness.js';

const sample = (step: number, residentBytes: number, handles = 10): Sample => ({ step, residentBytes, handles, sockets: 3, threads: 5 });

test('what grows with the steps shows as the way between the two ends', () => {
  const samples = Array.from({ length: 10 }, (_, index) => sample(index * 10, 1_000 + index * 100, 10 + index));
  expect(growthOf(samples)).toEqual({ steps: 50, residentBytes: 500, handles: 5, sockets: 0, threads: 0 });
  expect(growthOf(samples, 0.2)).toEqual({ steps: 80, residentBytes: 800, handles: 8, sockets: 0, threads: 0 });
});

test('a single sample that is far off changes nothing', () => {
  const samples = Array.from({ length: 10 }, (_, index) => sample(index, index === 8 ? 1e9 : 1_000));
  expect(growthOf(samples).residentBytes).toBe(0);
});

test('one sample is flat, none is no number', () => {
  expect(growthOf([sample(1, 5)]).residentBytes).toBe(0);
  expect(median([])).toBeNaN();
});

test('samples are told with step, memory, handles and threads', () => {
  expect(storyOf([sample(5, 3 * 2 ** 20)])).toBe('@5 3 MiB 10 handles 5 threads');
});
