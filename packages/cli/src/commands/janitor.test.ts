import { expect, test } from 'vitest';
import type { JanitorFinding, JanitorPass } from '@roentgen/client';
import { janitorReport } from './janitor.js';

const finding = (more: Partial<JanitorFinding> = {}): JanitorFinding => ({
  key: 'projects/p/objects/a',
  kind: 'ORPHAN',
  action: 'REMOVE',
  bytes: 7,
  reason: 'no row refers to it',
  ...more,
});

function report(mode: JanitorPass['mode'], findings: readonly JanitorFinding[], truncated = false): string {
  const totals = findings.map(({ kind, action, bytes }) => ({ kind, action, count: 1, bytes: bytes ?? 0 }));
  const times = { createdAt: '2026-01-01T00:00:00.000Z', finishedAt: '2026-01-01T00:00:01.000Z', errorMessage: null };
  return janitorReport({ id: 'jan_1', mode, status: 'SUCCEEDED', truncated, totals, ...times }, findings);
}

test('a dry run says what would go, how many bytes, and how', () => {
  const text = report('DRY_RUN', [finding(), finding({ kind: 'SPARE_CHECKPOINT', bytes: null })]);
  expect(text).toMatch(/ORPHAN +REMOVE +7 {2}projects\/p\/objects\/a {2}no row refers to it/);
  expect(text).toMatch(/SPARE_CHECKPOINT +REMOVE +\?/);
  expect(text).toMatch(/^Would go: 2 objects, 7 bytes; remove them with --delete$/m);
});

test('a store with nothing too much is said to be so', () => {
  expect(report('DRY_RUN', [])).toBe('Would go: 0 objects, 0 bytes');
});

test('what was removed, what could not be, what waits and what is missing are told apart', () => {
  const text = report('DELETE', [
    finding({ action: 'REMOVED' }),
    finding({ action: 'REMOVE' }),
    finding({ action: 'WAIT' }),
    finding({ kind: 'MISSING', action: 'REPORT' }),
  ]);
  expect(text).toMatch(/^Removed: 1 object, 7 bytes\nNot removed, for the next pass: 1 object, 7 bytes\nNot yet: 1 object, 7 bytes/m);
  expect(text).toMatch(/^Missing: 1 that rows refer to; restore them from a backup$/m);
});

test('a long list is cut, and says so', () => {
  const text = report(
    'DRY_RUN',
    Array.from({ length: 250 }, () => finding()),
    true,
  );
  expect(text).toMatch(/^… and 50 more; --json lists all$/m);
  expect(text).toMatch(/^There is more: run it again$/m);
});
