import { readFileSync } from 'node:fs';

/** @typedef {{ passed: number, failed: number }} Counts */

/** @param {Counts[]} counts @returns {Counts} */
export function addCounts(counts) {
  return { passed: counts.reduce((sum, { passed }) => sum + passed, 0), failed: counts.reduce((sum, { failed }) => sum + failed, 0) };
}

/** @param {Counts} counts */
export const countLine = ({ passed, failed }) => `${passed} passed, ${failed} failed`;

/**
 * Counts of vitest's JSON report. A file that could not be loaded counts as one failure; so does a run that ended badly although each test
 * passed (an unhandled error, a crash of vitest: then there may be no report), or that found no test.
 *
 * @param {string} path
 * @param {number | null} exitCode
 * @returns {Counts}
 */
export function readVitestCounts(path, exitCode) {
  const none = { passed: 0, failed: 1 };
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return none;
  }
  const { numPassedTests, numFailedTests, testResults } = report;
  if (!Number.isInteger(numPassedTests) || !Number.isInteger(numFailedTests) || !Array.isArray(testResults)) return none;
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = numFailedTests + broken.length;
  const unexplained = failed === 0 && (exitCode !== 0 || numPassedTests === 0) ? 1 : 0;
  return { passed: numPassedTests, failed: failed + unexplained };
}
