import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addCounts, countLine, readVitestCounts } from './test-counts.mjs';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-counts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function counts(report: unknown, exitCode: number | null) {
  const path = join(folder, 'report.json');
  writeFileSync(path, typeof report === 'string' ? report : JSON.stringify(report));
  return readVitestCounts(path, exitCode);
}
const file = (...statuses: string[]) => ({
  status: statuses.includes('failed') ? 'failed' : 'passed',
  assertionResults: statuses.map((status) => ({ status })),
});

test('a green run', () => {
  expect(counts({ numPassedTests: 3, numFailedTests: 0, testResults: [file('passed', 'passed', 'passed')] }, 0)).toEqual({
    passed: 3,
    failed: 0,
  });
});

test('a file that cannot be loaded is one failure', () => {
  const testResults = [file('passed', 'failed'), { status: 'failed', assertionResults: [] }];
  expect(counts({ numPassedTests: 1, numFailedTests: 1, testResults }, 1)).toEqual({ passed: 1, failed: 2 });
});

test('a bad end after green tests is a failure', () => {
  expect(counts({ numPassedTests: 1, numFailedTests: 0, testResults: [file('passed')] }, 1)).toEqual({ passed: 1, failed: 1 });
  expect(counts({ numPassedTests: 1, numFailedTests: 0, testResults: [file('passed')] }, null)).toEqual({ passed: 1, failed: 1 });
});

test('no tests, no report, half a report: never green', () => {
  expect(counts({ numPassedTests: 0, numFailedTests: 0, testResults: [] }, 0)).toEqual({ passed: 0, failed: 1 });
  expect(counts('{"numPassedTests": 12', 0)).toEqual({ passed: 0, failed: 1 });
  expect(readVitestCounts(join(folder, 'absent.json'), 0)).toEqual({ passed: 0, failed: 1 });
});

test('the line that continuous integration reads', () => {
  expect(
    countLine(
      addCounts([
        { passed: 1, failed: 0 },
        { passed: 2, failed: 3 },
      ]),
    ),
  ).toBe('3 passed, 3 failed');
});
