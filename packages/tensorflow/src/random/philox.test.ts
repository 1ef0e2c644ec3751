import { expect, test } from 'vitest';
import { Philox, philoxBlock } from './philox.js';

/** Known-answer vectors of the authors' Random123 library (kat_vectors, philox4x32-10). */
const KNOWN_ANSWERS = [
  { counter: [0, 0, 0, 0], key: [0, 0], block: '6627e8d5 e169c58d bc57ac4c 9b00dbd8' },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    block: '408f276d 41c83b0e a20bc7c6 6d5451fd',
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    block: 'd16cfe09 94fdcceb 5001e420 24126ea1',
  },
] as const;

test.each(KNOWN_ANSWERS)('Philox gives the published block for counter $counter', ({ counter, key, block }) => {
  const out = new Uint32Array(4);
  philoxBlock(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
  expect([...out].map((word) => word.toString(16).padStart(8, '0')).join(' ')).toBe(block);
});

test('the same seed and stream give the same numbers, another stream gives others', () => {
  const numbers = (seed: number, stream: [number, number]) => {
    const random = new Philox(seed, stream);
    return Array.from({ length: 10 }, () => random.nextUint32());
  };
  expect(numbers(7, [1, 2])).toEqual(numbers(7, [1, 2]));
  expect(numbers(7, [1, 2])).not.toEqual(numbers(7, [1, 3]));
  expect(numbers(7, [1, 2])).not.toEqual(numbers(8, [1, 2]));
  expect(numbers(7 + 2 ** 32, [1, 2])).not.toEqual(numbers(7, [1, 2]));
});

test('nextBelow reaches every value about equally often', () => {
  const random = new Philox(1);
  const counts = new Array<number>(6).fill(0);
  for (let i = 0; i < 60_000; i++) counts[random.nextBelow(6)]! += 1;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('normal numbers have mean 0 and variance 1', () => {
  const random = new Philox(2);
  const values = Array.from({ length: 50_000 }, () => random.nextNormalPair()).flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.01);
  expect(Math.abs(variance - 1)).toBeLessThan(0.02);
});
