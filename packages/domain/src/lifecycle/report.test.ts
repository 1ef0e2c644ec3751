import { expect, test } from 'vitest';
import { newId } from '../ids.js';
import { RunEventInputSchema, type RunEventInput } from '../run-events.js';
import type { RunStatus } from '../run-state.js';
import { decideReport, idsToLookUp } from './report.js';
import type { RunState } from './run-lifecycle.js';

const [runId, attemptId, workerId] = [newId('run'), newId('att'), newId('wkr')];
const fence = { runId, attemptId, generation: 1, token: 't' };
const limits = { maxAttempts: 1 };
const idOf = (number: number | string) => `${attemptId}/${workerId}/${number}`;
const fact = (eventId: string, kind: RunEventInput['kind'] = 'STEP_COMMITTED') =>
  RunEventInputSchema.parse({ eventId, kind, step: 5, epoch: 1, occurredAt: '2026-01-01T00:00:00Z' });
const facts = (...numbers: number[]) => numbers.map((number) => fact(idOf(number)));

function stateIn(status: RunStatus): RunState {
  const held = { attemptId, number: 2, generation: 1, token: 't', workerId, workerName: 'w' };
  const attempt = { ...held, phase: 'RUNNING' as const, startStep: 0, lastStep: 3, progressed: false };
  return {
    runId,
    status,
    generation: 1,
    owner: newId('crd'),
    attempt,
    ended: [],
    attemptCount: 2,
    highestStep: 3,
    checkpointStep: 2,
    forkedAtStep: null,
  };
}
const report = (events: readonly RunEventInput[], known: readonly string[], status: RunStatus = 'RUNNING') =>
  decideReport(stateIn(status), fence, events, new Set(known), limits);

test('the first fact of an attempt follows nothing; each further one follows the one before, in the log or in the batch', () => {
  expect(report(facts(1, 2, 3), [])).toMatchObject({ ok: true, state: { status: 'RUNNING' } });
  expect(report(facts(4, 5), [idOf(3)])).toMatchObject({ ok: true, state: { status: 'RUNNING' } });
  expect(idsToLookUp(facts(4, 5))).toEqual([idOf(4), idOf(3), idOf(5)]);
});

test('a batch of which the log has a part adds the rest', () => {
  const decision = report(facts(3, 4, 5), [idOf(2), idOf(3)]);
  expect(decision.ok && decision.events).toHaveLength(2);
  expect(decision).not.toHaveProperty('refused');
});

test('a fact whose predecessor the log has forgotten ends the attempt at no charge; nothing of its batch is taken', () => {
  for (const batch of [facts(7, 8), facts(4, 6)]) {
    const decision = report(batch, [idOf(3)]);
    expect(decision).toMatchObject({ ok: true, refused: expect.stringContaining('restored'), state: { status: 'QUEUED', attempt: null } });
    expect(decision.ok && decision.events.map((event) => ('kind' in event ? event.kind : 'a fact'))).toEqual([
      'ATTEMPT_FAILED',
      'RUN_REQUEUED',
    ]);
    expect(decision.ok && decision.changes).toContainEqual(expect.objectContaining({ kind: 'END_ATTEMPT', cause: 'FACTS_LOST' }));
  }
});

test('a run that was to be cancelled or paused is, when its attempt ends so', () => {
  expect(report(facts(7), [], 'CANCELLING')).toMatchObject({ ok: true, state: { status: 'CANCELLED' } });
  expect(report(facts(7), [], 'PAUSING')).toMatchObject({ ok: true, state: { status: 'PAUSED' } });
});

test('an attempt that is not the run’s ends nothing, whatever it lacks', () => {
  const stranger = { ...fence, token: 'another' };
  expect(decideReport(stateIn('RUNNING'), stranger, facts(7), new Set(), limits)).toMatchObject({ ok: false, reason: 'STALE' });
});

test('facts without a number, such as the last words of a process, stand alone', () => {
  const lastWords = fact(idOf('death/1'), 'ATTEMPT_FAILED');
  expect(report([lastWords], [])).not.toHaveProperty('refused');
  expect(idsToLookUp([lastWords])).toEqual([lastWords.eventId]);
});
