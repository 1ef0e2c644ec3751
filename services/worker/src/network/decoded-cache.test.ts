import { expect, test } from 'vitest';
import { DecodedCache } from './decoded-cache.js';

const pixels = (bytes: number) => new Uint8Array(bytes);

test('an image is found again at the size it was decoded to, and at no other', () => {
  const cache = new DecodedCache(1000);
  const image = pixels(300);
  cache.add('a', 10, image);
  expect(cache.get('a', 10)).toBe(image);
  expect(cache.get('a', 12)).toBeUndefined();
  expect(cache.get('b', 10)).toBeUndefined();
});

test('the limit holds, and what came first stays', () => {
  const cache = new DecodedCache(1000);
  for (const name of ['a', 'b', 'c', 'd', 'e']) cache.add(name, 10, pixels(300));
  expect(cache.bytes).toBe(900);
  expect(['a', 'b', 'c', 'd', 'e'].map((name) => cache.get(name, 10) !== undefined)).toEqual([true, true, true, false, false]);
});

test('adding an image again does not count it twice', () => {
  const cache = new DecodedCache(1000);
  cache.add('a', 10, pixels(300));
  cache.add('a', 10, pixels(300));
  expect(cache.bytes).toBe(300);
});

test('a run on other images makes room by dropping those of the run before', () => {
  const cache = new DecodedCache(600);
  cache.add('a', 10, pixels(300));
  cache.add('b', 10, pixels(300));
  cache.retain(new Set(['b', 'c']), 10);
  cache.add('c', 10, pixels(300));
  expect(cache.get('a', 10)).toBeUndefined();
  expect(cache.get('b', 10)).toBeDefined();
  expect(cache.get('c', 10)).toBeDefined();
  expect(cache.bytes).toBe(600);
});

test('a limit of 0 keeps nothing', () => {
  const cache = new DecodedCache(0);
  cache.add('a', 10, pixels(1));
  expect(cache.get('a', 10)).toBeUndefined();
});
