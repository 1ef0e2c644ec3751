import { expect, test } from 'vitest';
import type { Measured } from './measure.js';
import { MS_PER_STEP, formatCase, imagesPerSecond, reportCase } from './report.js';

function measured(rounds: readonly (readonly number[])[], peakBytes: number): Measured {
  return { buildSeconds: 0.5, firstStepSeconds: 2, rounds: rounds.map((stepMs) => ({ stepMs: [...stepMs], peakBytes })) };
}

const ours = measured(
  [
    [40, 50, 90],
    [500, 510, 520],
    [55, 50, 45],
  ],
  1_400_000_000,
);
const keras = measured(
  [
    [100, 100, 100],
    [1020, 1020, 1020],
    [100, 100, 100],
  ],
  2_000_000_000,
);
const pytorch = measured(
  [
    [80, 80, 80],
    [800, 800, 800],
    [80, 80, 80],
  ],
  1_300_000_000,
);

test('a case says medians, ratios by round, memory and preparation', () => {
  expect(reportCase('train-step-b0-224-8', MS_PER_STEP, ours, { keras, pytorch })).toEqual({
    case: 'train-step-b0-224-8',
    unit: 'ms per step',
    better: 'lower',
    ours: 50,
    peers: { keras: 100, pytorch: 80 },
    ratioToBestPeer: 0.625,
    ratios: { keras: 0.5, pytorch: 0.625 },
    peakBytes: { ours: 1_400_000_000, keras: 2_000_000_000, pytorch: 1_300_000_000 },
    buildSeconds: { ours: 0.5, keras: 0.5, pytorch: 0.5 },
    firstStepSeconds: { ours: 2, keras: 2, pytorch: 2 },
    rounds: 3,
    stepsPerRound: 3,
  });
});

test('for rates the best peer is the one with most', () => {
  const report = reportCase('inference-b0-224-1', imagesPerSecond(1), ours, { keras, pytorch });
  expect(report).toMatchObject({ unit: 'images/s', better: 'higher', ours: 20, peers: { keras: 10, pytorch: 12.5 }, ratioToBestPeer: 1.6 });
});

test('without peers there is nothing to compare with', () => {
  expect(reportCase('x', MS_PER_STEP, ours, {})).toMatchObject({ peers: {}, ratios: {}, ratioToBestPeer: null });
});

test('the time of JavaScript is reported where it was measured', () => {
  const timed: Measured = { ...ours, rounds: ours.rounds.map((round) => ({ ...round, javascriptMs: [1, 1, 3], copyMs: [20, 30, 40] })) };
  const report = reportCase('x', MS_PER_STEP, timed, {});
  expect(report).toMatchObject({ javascriptMs: 1, copyMs: 30 });
  expect(formatCase(report)).toContain('JavaScript 1 ms and copies 30 ms per step of ours');
});

test('the table has one line per contestant', () => {
  const lines = formatCase(reportCase('train-step-b0-224-8', MS_PER_STEP, ours, { keras })).split('\n');
  expect(lines[0]).toBe('train-step-b0-224-8 · lower is better · medians of 3 rounds of 3 steps');
  expect(lines.slice(2).map((line) => line.split(/\s{2,}/).slice(0, 4))).toEqual([
    ['ours', '50', '1400 MB', '0.5 s'],
    ['keras', '100', '0.50', '2000 MB'],
  ]);
});
