import { expect, test } from 'vitest';
import { stashDepth } from './gradient-sum-graph.js';
import { addStepSums, allFinite } from './step-gradients.js';
import { TreeSum } from './tree-sum.js';

test('everything is added', () => {
  const left = { momentCount: 1, lossSum: 4, weightSum: 5, correctSum: 6, sampleCount: 7 };
  const right = { momentCount: 2, lossSum: 40, weightSum: 50, correctSum: 60, sampleCount: 70 };
  expect(addStepSums(left, right)).toEqual({ momentCount: 3, lossSum: 44, weightSum: 55, correctSum: 66, sampleCount: 77 });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('a vector with %s in it is not finite', (value) => {
  expect(allFinite(Float32Array.of(1, -3e38, 0))).toBe(true);
  expect(allFinite(Float32Array.of(1, value, 0))).toBe(false);
});

test('there are as many places for partial sums as the tree ever needs', () => {
  for (let leaves = 1; leaves <= 65; leaves++) {
    let waiting = 0;
    let most = 0;
    const sum = new TreeSum<null>(() => {
      waiting -= 1;
      return null;
    });
    for (let leaf = 0; leaf < leaves; leaf++) {
      if (leaf > 0) waiting += 1;
      most = Math.max(most, waiting);
      sum.push(null);
    }
    expect(most).toBeLessThanOrEqual(stashDepth(leaves));
    sum.finish();
    expect(waiting).toBe(0);
  }
});
