import { expect, test } from 'vitest';
import { ruleFor } from './failure-rules.js';

test('a diverged run is not tried again: it would diverge again', () => {
  expect(ruleFor('NON_FINITE_LOSS', 1, 3)).toBe('fail');
  expect(ruleFor('CONFIG_ERROR', 1, 3)).toBe('fail');
});

test('an outage is tried again until the tries are used up', () => {
  expect(ruleFor('UNAVAILABLE', 1, 3)).toBe('requeue');
  expect(ruleFor('UNAVAILABLE', 3, 3)).toBe('fail');
});

test('a worker that was asked to leave costs the run nothing', () => {
  expect(ruleFor('WORKER_STOPPING', 3, 3)).toBe('requeue');
});
