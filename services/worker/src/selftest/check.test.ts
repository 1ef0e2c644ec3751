import { expect, test } from 'vitest';
import { checkAtMost, checkThat, exitCodeOf, failed, skipped, summarize } from './check.js';

test.each([
  [5e-5, 'PASS'],
  [1e-4, 'PASS'],
  [2e-4, 'FAIL'],
  [NaN, 'FAIL'],
  [Infinity, 'FAIL'],
])('a distance of %d with bound 1e-4 is a %s', (value, verdict) => {
  expect(checkAtMost('parity', value, 1e-4)).toMatchObject({ name: 'parity', verdict, bound: '≤ 1e-4' });
});

test('a number that JSON has no word for is null', () => {
  expect(checkAtMost('parity', NaN, 1).values).toEqual({ value: null, bound: 1 });
});

const good = checkThat(true, { name: 'good', measured: '1', bound: '1' });

test.each([
  ['all good', [good, good], 'PASS', 0],
  ['one failed', [good, failed('bad', 'broken')], 'FAIL', 1],
  ['some skipped', [good, skipped('other', 'not here')], 'PASS', 0],
  ['nothing tried', [skipped('other', 'not here')], 'FAIL', 1],
  ['nothing at all', [], 'FAIL', 1],
] as const)('%s', (_case, checks, verdict, exitCode) => {
  const summary = summarize(checks);
  expect(summary.verdict).toBe(verdict);
  expect(exitCodeOf(summary)).toBe(exitCode);
});

test('the summary counts each verdict', () => {
  expect(summarize([good, good, failed('bad', 'broken'), skipped('other', 'not here')])).toEqual({
    verdict: 'FAIL',
    passed: 2,
    failed: 1,
    skipped: 1,
  });
});
