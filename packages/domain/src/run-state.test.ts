import { expect, test } from 'vitest';
import { RUN_STATUSES, TERMINAL_RUN_STATUSES, canMove, isTerminal, statusesBefore } from './run-state.js';

test('nothing follows a terminal state, and only the three are terminal', () => {
  expect(RUN_STATUSES.filter(isTerminal)).toEqual([...TERMINAL_RUN_STATUSES]);
  for (const end of TERMINAL_RUN_STATUSES) expect(RUN_STATUSES.filter((to) => canMove(end, to))).toEqual([]);
});

test('every state can be reached, and every state can end', () => {
  const ends = (from: (typeof RUN_STATUSES)[number], seen: readonly string[] = []): boolean =>
    isTerminal(from) || RUN_STATUSES.some((to) => canMove(from, to) && !seen.includes(to) && ends(to, [...seen, from]));
  for (const status of RUN_STATUSES) {
    expect(ends(status), status).toBe(true);
    if (status !== 'QUEUED') expect(statusesBefore(status), status).not.toEqual([]);
  }
});

test('a run that was cancelled too late may still succeed, but a cancelled one cannot', () => {
  expect(canMove('CANCELLING', 'SUCCEEDED')).toBe(true);
  expect(canMove('CANCELLED', 'SUCCEEDED')).toBe(false);
});
