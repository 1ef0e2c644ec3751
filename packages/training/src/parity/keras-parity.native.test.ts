import { loadBinding } from '@roentgen/tensorflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { KERAS_FIXTURES } from './keras-fixture.js';
import { PARITY_TOLERANCE, compareWithKeras, farthest } from './keras-parity.js';
import type { KerasParity } from './keras-parity.js';

describe.each(KERAS_FIXTURES)('%s', (name) => {
  let parity: KerasParity;
  beforeAll(() => {
    parity = compareWithKeras(loadBinding(), name);
  });

  test('the loss is that of Keras', () => {
    expect(parity.lossDistance).toBeLessThan(1e-5);
  });

  test('Keras has exactly our parameters, and most of their gradients count', () => {
    expect(parity.unmatchedParameters).toEqual([]);
    expect(parity.gradients.length).toBeGreaterThan(100);
  });

  test('the gradient of every relevant parameter is that of Keras', () => {
    expect(parity.gradients.filter(({ relativeL2 }) => !(relativeL2 <= PARITY_TOLERANCE.cpu))).toEqual([]);
  });

  test('batch moments are those of Keras, with the unbiased variance', () => {
    expect(parity.moments).toHaveLength(parity.batchNorm === 'batch' ? 6 : 0);
    expect(parity.moments.filter(({ relativeL2 }) => !(relativeL2 <= PARITY_TOLERANCE.cpu))).toEqual([]);
  });
});

test('a distance that is no number is the farthest', () => {
  const distances = [
    { name: 'near', relativeL2: 1e-6 },
    { name: 'broken', relativeL2: NaN },
    { name: 'far', relativeL2: 1 },
  ];
  expect(farthest(distances)).toEqual({ name: 'broken', relativeL2: Infinity });
  expect(farthest([])).toBeNull();
});
