import { loadBinding } from '@roentgen/tensorflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { REFERENCE_FIXTURES } from './reference-fixture.js';
import { MIXED_PRECISION_TOLERANCE, PARITY_TOLERANCE, compareWithReference, farthest } from './reference-parity.js';
import type { ReferenceParity } from './reference-parity.js';

describe.each(REFERENCE_FIXTURES)('%s', (name) => {
  let parity: ReferenceParity;
  beforeAll(() => {
    parity = compareWithReference(loadBinding(), name);
  });

  test('the loss is that of the reference', () => {
    expect(parity.lossDistance).toBeLessThan(1e-5);
  });

  test('logits are those of the reference', () => {
    if (parity.batchNorm === 'batch') expect(parity.logitDistance).toBeNull();
    else expect(parity.logitDistance).toBeLessThan(PARITY_TOLERANCE.cpu);
  });

  test('the reference has exactly our parameters, and most of their gradients count', () => {
    expect(parity.unmatchedParameters).toEqual([]);
    expect(parity.gradients.length).toBeGreaterThan(100);
  });

  test('the gradient of every relevant parameter is that of the reference', () => {
    expect(parity.gradients.filter(({ relativeL2 }) => !(relativeL2 <= PARITY_TOLERANCE.cpu))).toEqual([]);
  });

  test('batch moments are those of the reference, with the unbiased variance', () => {
    expect(parity.moments).toHaveLength(parity.batchNorm === 'batch' ? 6 : 0);
    expect(parity.moments.filter(({ relativeL2 }) => !(relativeL2 <= PARITY_TOLERANCE.cpu))).toEqual([]);
  });
});

describe.each(['bf16', 'fp16'] as const)('in %s', (precision) => {
  const { loss, gradients } = MIXED_PRECISION_TOLERANCE[precision];
  // Without kernels for fp16 a CPU takes half a minute for batch statistics.
  const names = precision === 'bf16' ? REFERENCE_FIXTURES : (['keras-b0-frozen', 'lite0-frozen'] as const);

  test.each(names)('%s: loss and gradients are those of the reference but for roundings', (name) => {
    const parity = compareWithReference(loadBinding(), name, precision);
    expect(parity).toMatchObject({ precision, logitDistance: null, unmatchedParameters: [] });
    expect(parity.lossDistance).toBeLessThan(loss);
    expect(parity.gradientDistance).toBeLessThan(gradients[name]);
    // It did compute in the short format.
    expect(parity.gradientDistance).toBeGreaterThan(0.01 * gradients[name]);
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
