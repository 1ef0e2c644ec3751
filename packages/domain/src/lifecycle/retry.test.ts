import { describe, expect, test } from 'vitest';
import { FAILURE_CAUSES, causeOf, ruleOf, type FailureCause } from './failure-causes.js';
import { judgeRun, judgeWorker, type WorkerAttempt } from './retry.js';
import type { EndedAttemptState } from './run-lifecycle.js';

const LIMITS = { maxAttempts: 3 };
let number = 0;
const ended = (cause: FailureCause, more: Partial<EndedAttemptState> = {}): EndedAttemptState => ({
  number: ++number,
  workerName: `w${number}`,
  status: 'FAILED',
  cause,
  lastStep: 100 * number,
  progressed: false,
  ...more,
});
const inARow = (count: number, cause: FailureCause, more: Partial<EndedAttemptState> = {}) =>
  Array.from({ length: count }, () => ended(cause, more));

describe('what a run gets after a failure', () => {
  test.each<[FailureCause, number]>([
    ['NON_FINITE', 0],
    ['CONFIG_ERROR', 0],
    ['DATA_ERROR', 0],
    ['OUT_OF_MEMORY', 1],
    ['DEVICE_ERROR', 1],
    ['INTERNAL', 1],
    ['WORKER_LOST', 2],
    ['COMPUTE_PROCESS_DIED', 2],
    ['STORE_AWAY', Infinity],
    ['FACTS_LOST', Infinity],
    ['WORKER_DRAINED', Infinity],
  ])('%s: %d further tries when none gets anywhere', (cause, tries) => {
    const first = Math.min(tries, 50) + 1;
    for (let count = 1; count < first; count++) expect(judgeRun(inARow(count, cause), cause, LIMITS).kind).toBe('retry');
    expect(judgeRun(inARow(first, cause), cause, LIMITS).kind).toBe(tries === Infinity ? 'retry' : 'fail');
  });

  test('every cause has a row here, and every code one cause', () => {
    const codes = FAILURE_CAUSES.flatMap((cause) => ruleOf(cause).codes.map((code) => [code, cause] as const));
    expect(new Set(codes.map(([code]) => code)).size).toBe(codes.length);
    for (const [code, cause] of codes) expect(causeOf(code)).toBe(cause);
    expect(causeOf('NEVER_HEARD_OF')).toBe('INTERNAL');
  });

  test('attempts that got the run further are not held against it, however many there were', () => {
    const long = inARow(20, 'WORKER_LOST', { progressed: true });
    expect(judgeRun(long, 'WORKER_LOST', LIMITS)).toEqual({ kind: 'retry', afterMs: 0 });
    expect(
      judgeRun([...inARow(2, 'WORKER_LOST'), ended('WORKER_LOST', { progressed: true }), ended('WORKER_LOST')], 'WORKER_LOST', LIMITS).kind,
    ).toBe('retry');
    expect(judgeRun([...inARow(2, 'OUT_OF_MEMORY', { progressed: true })], 'OUT_OF_MEMORY', LIMITS).kind).toBe('retry');
  });

  test('what nobody is to blame for is not counted among the tries', () => {
    const calm = [...inARow(5, 'WORKER_DRAINED'), ...inARow(5, 'STORE_AWAY')];
    expect(judgeRun([...calm, ended('WORKER_LOST'), ended('WORKER_LOST')], 'WORKER_LOST', LIMITS).kind).toBe('retry');
  });

  test('different causes together use up the tries, and the last one names them all', () => {
    const verdict = judgeRun([ended('WORKER_LOST'), ended('INTERNAL'), ended('OUT_OF_MEMORY')], 'OUT_OF_MEMORY', LIMITS);
    expect(verdict).toMatchObject({
      kind: 'fail',
      failure: { code: 'TOO_MANY_ATTEMPTS', message: expect.stringMatching(/WORKER_LOST.*INTERNAL.*OUT_OF/) },
    });
  });

  test('tries in vain follow each other more and more slowly, those at a store that is away never at once', () => {
    const pauses = (cause: FailureCause, most: number) =>
      Array.from({ length: most }, (_, i) => judgeRun(inARow(i + 1, cause), cause, { maxAttempts: 100 })).map((v) =>
        v.kind === 'retry' ? v.afterMs : -1,
      );
    expect(pauses('WORKER_LOST', 5)).toEqual([0, 1_000, 2_000, 4_000, 8_000]);
    expect(pauses('STORE_AWAY', 5)).toEqual([5_000, 5_000, 5_000, 5_000, 8_000]);
    expect(judgeRun(inARow(20, 'STORE_AWAY'), 'STORE_AWAY', LIMITS)).toEqual({ kind: 'retry', afterMs: 300_000 });
  });
});

describe('a run that takes workers with it', () => {
  const lostAt = (lastStep: number, workerName: string, more: Partial<EndedAttemptState> = {}) =>
    ended('WORKER_LOST', { lastStep, workerName, ...more });

  test('two workers at the same step fail it, with both as evidence', () => {
    const verdict = judgeRun([lostAt(10, 'a', { progressed: true }), lostAt(12, 'b', { progressed: true })], 'WORKER_LOST', LIMITS);
    expect(verdict).toMatchObject({
      kind: 'fail',
      failure: {
        code: 'POISON_RUN',
        details: {
          evidence: [
            { worker: 'a', step: 10 },
            { worker: 'b', step: 12 },
          ],
        },
      },
    });
  });

  test('a worker that passed the step in between shows that it was not the step', () => {
    const passedIt = (cause: FailureCause | null, progressed: boolean) =>
      ended('INTERNAL', { cause, lastStep: 140, workerName: 'b', progressed });
    for (const between of [passedIt('WORKER_LOST', true), passedIt('WORKER_DRAINED', false), passedIt(null, true)]) {
      const attempts = [lostAt(100, 'a', { progressed: true }), between, lostAt(103, 'c')];
      expect(judgeRun(attempts, 'WORKER_LOST', LIMITS).kind).toBe('retry');
      // Lost there twice since: that is evidence again.
      expect(judgeRun([...attempts, lostAt(104, 'd')], 'WORKER_LOST', LIMITS)).toMatchObject({
        kind: 'fail',
        failure: { code: 'POISON_RUN', details: { evidence: [{ worker: 'c' }, { worker: 'd' }] } },
      });
    }
  });

  test('one that got as far as others were lost, or less far, shows nothing', () => {
    for (const lastStep of [60, 105]) {
      const between = ended('WORKER_DRAINED', { lastStep, workerName: 'b', progressed: true });
      expect(judgeRun([lostAt(100, 'a'), between, lostAt(103, 'c')], 'WORKER_LOST', LIMITS)).toMatchObject({
        failure: { code: 'POISON_RUN' },
      });
    }
  });

  test('the same worker twice, or other steps, are no evidence', () => {
    expect(judgeRun([lostAt(10, 'a'), lostAt(10, 'a')], 'WORKER_LOST', LIMITS).kind).toBe('retry');
    expect(judgeRun([lostAt(10, 'a'), lostAt(16, 'b')], 'WORKER_LOST', LIMITS).kind).toBe('retry');
    expect(judgeRun([lostAt(10, 'a'), ended('OUT_OF_MEMORY', { lastStep: 10, workerName: 'b' })], 'OUT_OF_MEMORY', LIMITS).kind).toBe(
      'retry',
    );
  });
});

describe('a worker that runs fail on', () => {
  const attempt = (runId: string, cause: FailureCause | null): WorkerAttempt => ({
    runId,
    number: 1,
    status: 'FAILED',
    cause,
    message: null,
  });

  test('three different runs in a row are the evidence against it', () => {
    const attempts = [
      attempt('c', 'INTERNAL'),
      attempt('b', 'WORKER_LOST'),
      attempt('b', 'WORKER_LOST'),
      attempt('a', 'COMPUTE_PROCESS_DIED'),
    ];
    expect(judgeWorker(attempts, 3)?.map(({ runId }) => runId)).toEqual(['c', 'b', 'a']);
  });

  test('one run that fails again and again says nothing about the worker, and a success in between ends the series', () => {
    expect(judgeWorker([attempt('a', 'INTERNAL'), attempt('a', 'INTERNAL'), attempt('a', 'INTERNAL')], 3)).toBeNull();
    expect(judgeWorker([attempt('c', 'INTERNAL'), attempt('x', null), attempt('b', 'INTERNAL'), attempt('a', 'INTERNAL')], 3)).toBeNull();
  });

  test('the mistakes of runs speak for it, and what nobody is to blame for says nothing', () => {
    const failures = [attempt('c', 'INTERNAL'), attempt('b', 'INTERNAL'), attempt('a', 'INTERNAL')];
    expect(judgeWorker([failures[0]!, attempt('x', 'NON_FINITE'), ...failures.slice(1)], 3)).toBeNull();
    expect(judgeWorker([failures[0]!, attempt('x', 'STORE_AWAY'), ...failures.slice(1)], 3)).toHaveLength(3);
  });
});
