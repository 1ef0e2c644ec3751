import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cacheKey, programDigest, readCached, writeCached } from './cache.js';
import { checkThat, failed, skipped, type Check } from './check.js';
import { memoryScaleOf } from './memory-scale.js';
import { ineligibleReason, outcomeOf, outcomeVariable, readOutcome } from './outcome.js';
import type { SelftestReport } from './selftest.js';
import { MEMORY_CASES, memoryName } from './tasks.js';

const speed: Check = {
  name: 'speed B0@224',
  verdict: 'PASS',
  measured: '12 images/s',
  bound: 'told',
  values: { variant: 'B0', imageSizePx: 128, batchSize: 4, imagesPerSecond: 12, medianStepMs: 300, peakBytes: 5, gpuBytes: null },
};
const report = (...checks: Check[]): SelftestReport => ({
  verdict: 'PASS',
  ...{ passed: 1, failed: 0, skipped: 0, quick: true, requestedDevice: 'cpu', device: null, memoryScale: 1.5, complete: true, seconds: 3 },
  libtensorflow: { version: '2.21.0', bindingPath: '/b' },
  host: { name: 'h', cpu: 'c', cores: 1, memoryBytes: 1, freeMemoryBytes: 1, node: 'v20', intraOpThreads: 0, interOpThreads: 0 },
  cuda: { driver: null, visibleDevices: null, deterministicOps: null, xlaFlags: null },
  checks,
});

test('checks and speeds are registered; a speed that failed or was left out is none', () => {
  const { summary } = outcomeOf(report(speed, { ...speed, verdict: 'FAIL' }, skipped('speed B7@600', 'time')), 'quick', new Date(0));
  expect(summary.speeds).toEqual([{ variant: 'B0', imageSizePx: 128, batchSize: 4, imagesPerSecond: 12, peakBytes: 5 }]);
  expect(summary.checks.map(({ verdict }) => verdict)).toEqual(['PASS', 'FAIL', 'SKIPPED']);
});

test('a worker is out of work for the checks that failed and are not accepted', () => {
  const checks = [speed, failed('parity loss b0', '0.3'), failed('determinism', 'other bits'), skipped('learning', 'time')];
  expect(ineligibleReason({ checks }, ['determinism'])).toMatch(/parity loss b0: 0.3 .*WORKER_ACCEPT_FAILED_CHECKS/);
  expect(ineligibleReason({ checks }, ['determinism'])).not.toMatch(/other bits/);
  expect(ineligibleReason({ checks }, ['determinism', 'parity loss b0'])).toBeNull();
  expect(ineligibleReason({ checks }, ['all'])).toBeNull();
});

test('the outcome reaches the compute process through its environment', () => {
  const outcome = outcomeOf(report(speed), 'quick', new Date(0));
  expect(readOutcome(outcomeVariable(outcome))).toEqual(outcome);
  expect(readOutcome(outcomeVariable(null))).toBeNull();
});

test('what passed is kept for the same machine, settings and program only; what cannot be read is made anew', () => {
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-selftest-cache-'));
  try {
    const outcome = outcomeOf(report(speed), 'quick', new Date(0));
    const key = cacheKey({ cpu: 'a', program: programDigest() });
    expect(readCached(folder, key)).toBeNull();
    writeCached(folder, key, outcome);
    expect(readCached(folder, key)).toEqual(outcome);
    expect(readCached(folder, cacheKey({ cpu: 'b', program: programDigest() }))).toBeNull();
    writeFileSync(join(folder, `${key}.json`), '{"summary":');
    expect(readCached(folder, key)).toBeNull();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('memory per image is the difference of two batches', () => {
  const taken = (index: 0 | 1, takenBytes: number) =>
    checkThat(true, { name: memoryName(MEMORY_CASES[index]), measured: '', bound: '', values: { takenBytes } });
  const [of, twice] = [memoryScaleOf([taken(0, 1e9), taken(1, 1.5e9)])!, memoryScaleOf([taken(0, 1e9), taken(1, 2e9)])!];
  expect(twice / of).toBeCloseTo(2);
  expect(of).toBeCloseTo(0.5e9 / 14 / (2010 * 128 ** 2));
  expect(memoryScaleOf([taken(0, 1e9)])).toBeNull();
  expect(memoryScaleOf([taken(0, 1e9), taken(1, 1e9)])).toBeNull();
});
