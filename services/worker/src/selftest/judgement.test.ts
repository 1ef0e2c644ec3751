import { expect, test } from 'vitest';
import { MIXED_PRECISION_TOLERANCE } from '@roentgen/training';
import type { ReferenceParity } from '@roentgen/training';
import { judgeParity, judgePrecision } from './parity-checks.js';
import { judgeSpeed } from './speed-check.js';
import type { SpeedCase } from './tasks.js';

const parity: ReferenceParity = {
  fixture: 'keras-b0-batch',
  precision: 'fp32',
  batchNorm: 'batch',
  lossDistance: 1e-8,
  logitDistance: null,
  unmatchedParameters: [],
  gradients: [
    { name: 'near', relativeL2: 1e-6 },
    { name: 'far', relativeL2: 5e-4 },
  ],
  gradientDistance: 1e-6,
  moments: [{ name: 'moment', relativeL2: 1e-7 }],
};
const verdicts = (change: Partial<ReferenceParity>, tolerance: number) =>
  judgeParity({ ...parity, ...change }, tolerance).map((c) => c.verdict);

test('the farthest gradient decides, and is named', () => {
  expect(verdicts({}, 1e-3)).toEqual(['PASS', 'PASS']);
  expect(verdicts({}, 1e-4)).toEqual(['PASS', 'FAIL']);
  expect(judgeParity(parity, 1e-4)[1]?.measured).toContain('(far)');
});

test.each([
  ['a loss that is no number', { lossDistance: NaN }, ['FAIL', 'PASS']],
  ['a gradient that is no number', { gradients: [{ name: 'broken', relativeL2: NaN }] }, ['PASS', 'FAIL']],
  ['a batch moment that is off', { moments: [{ name: 'off', relativeL2: 1 }] }, ['PASS', 'FAIL']],
  ['other parameters than those of the reference', { unmatchedParameters: ['extra/kernel'] }, ['PASS', 'FAIL']],
  ['nothing to compare', { gradients: [], moments: [] }, ['PASS', 'FAIL']],
])('%s fails', (_case, change, expected) => {
  expect(verdicts(change, 1e-3)).toEqual(expected);
});

test('a short number format has a bound of its own for each reference', () => {
  const bf16: ReferenceParity = { ...parity, precision: 'bf16', lossDistance: 1e-3, gradientDistance: 0.2 };
  const tolerance = MIXED_PRECISION_TOLERANCE.bf16;
  expect(judgePrecision(bf16, tolerance).map((check) => [check.name, check.verdict])).toEqual([
    ['bf16 loss keras-b0-batch', 'PASS'],
    ['bf16 gradients keras-b0-batch', 'PASS'],
  ]);
  expect(judgePrecision({ ...bf16, fixture: 'keras-b0-frozen' }, tolerance)[1]?.verdict).toBe('FAIL');
  expect(judgePrecision({ ...bf16, lossDistance: NaN }, tolerance)[0]?.verdict).toBe('FAIL');
});

const speedCase: SpeedCase = { variant: 'B7', imageSizePx: 300, batchSize: 2, insteadOf: 'B7@600', budgetMs: 1 };
const memory = { peakBytes: 2 ** 31, gpuBytes: null, perImageBytes: 2 ** 29 };

test('speed is images per median step, and a smaller case says what it stands for', () => {
  const check = judgeSpeed(speedCase, { firstMs: 9000, steadyMs: [400, 900, 500], lastLoss: 0.7 }, memory);
  expect(check).toMatchObject({
    name: 'speed B7@600',
    verdict: 'PASS',
    values: { imagesPerSecond: 4, medianStepMs: 500, bytesPerImage: 2 ** 29 },
  });
  expect(check.measured).toContain('4.00 images/s with B7@300 batch 2 in place of B7@600');
});

test('steps that end in a loss that is no number fail', () => {
  expect(judgeSpeed(speedCase, { firstMs: 1, steadyMs: [1], lastLoss: NaN }, memory)).toMatchObject({ verdict: 'FAIL' });
});
