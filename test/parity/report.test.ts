import { expect, test } from 'vitest';
import { formatReport, reportFailure, reportMeasurement } from './report.js';

test('a distance up to its bound passes', () => {
  expect(reportMeasurement('c', { what: 'logits', distance: 1e-4, bound: 1e-4 })).toEqual({
    ...{ case: 'c', what: 'logits', distance: 1e-4, bound: 1e-4, passed: true },
  });
  expect(reportMeasurement('c', { what: 'logits', distance: 1.01e-4, bound: 1e-4 }).passed).toBe(false);
});

test.each([NaN, Infinity])('a distance of %d fails', (distance) => {
  const report = reportMeasurement('c', { what: 'logits', distance, bound: 1 });
  expect(report).toMatchObject({ passed: false, distance: null });
  expect(formatReport(report)).toMatch(/^✗ c +no number > 1 +logits$/);
});

test('a line has the case, the distance, its bound and what was compared', () => {
  const line = (distance: number, bound: number) =>
    formatReport(reportMeasurement('logits/keras/B0@97', { what: 'logits', distance, bound }));
  expect(line(3.14e-7, 1e-4)).toMatch(/^✓ logits\/keras\/B0@97 +3\.1e-7 ≤ 1e-4 +logits$/);
  expect(line(2, 1)).toMatch(/^✗ logits\/keras\/B0@97 +2 > 1 +logits$/);
  expect(line(0, 0)).toMatch(/ 0 ≤ 0 /);
});

test('a case that could not be measured has failed, and says why', () => {
  const report = reportFailure('weights/keras/h5', new Error('keras failed:\nTraceback'));
  expect(report).toMatchObject({ passed: false, distance: null, error: 'keras failed:\nTraceback' });
  expect(formatReport(report)).toMatch(/^✗ weights\/keras\/h5 +keras failed:\n {4}Traceback$/);
});
