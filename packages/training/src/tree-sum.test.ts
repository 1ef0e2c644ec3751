import { Philox } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { TreeSum } from './tree-sum.js';

const addFloat32 = (a: number, b: number) => Math.fround(a + b);

function leaves(count: number): number[] {
  const random = new Philox(count);
  return Array.from({ length: count }, () => Math.fround(random.nextNormalPair()[0] * 10 ** (random.nextUniform() * 6)));
}

function sum(values: readonly number[]): number {
  const tree = new TreeSum<number>(addFloat32);
  for (const value of values) tree.push(value);
  return tree.finish();
}

test('the tree is the one that is written down', () => {
  const tree = new TreeSum<string>((a, b) => `(${a}+${b})`);
  for (let i = 0; i < 7; i++) tree.push(String(i));
  expect(tree.finish()).toBe('(((0+1)+(2+3))+((4+5)+6))');
});

test.each([1, 2, 3, 5, 7, 8, 13, 16, 31])('any aligned partition of %i leaves gives the same bits', (count) => {
  const values = leaves(count);
  const whole = sum(values);
  const random = new Philox(99, [count]);
  for (let trial = 0; trial < 50; trial++) {
    const tree = new TreeSum<number>(addFloat32);
    for (let start = 0; start < count;) {
      const levels = [0, 1, 2, 3, 4].filter((level) => start % 2 ** level === 0 && start + 2 ** level <= count);
      const level = levels[random.nextBelow(levels.length)]!;
      tree.push(sum(values.slice(start, start + 2 ** level)), level);
      start += 2 ** level;
    }
    expect(tree.finish()).toBe(whole);
  }
});

test('the order matters: adding from left to right gives other bits', () => {
  const values = leaves(31);
  expect(values.reduce(addFloat32)).not.toBe(sum(values));
});

test('blocks that are not aligned and empty sums are refused', () => {
  const tree = new TreeSum<number>(addFloat32);
  expect(() => tree.finish()).toThrow(RangeError);
  tree.push(1);
  expect(() => tree.push(1, 1)).toThrow(/not aligned/);
});
