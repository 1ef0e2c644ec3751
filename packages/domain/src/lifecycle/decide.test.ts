import { describe, expect, test } from 'vitest';
import { newId } from '../ids.js';
import { RunEventInputSchema, type RunEventKind } from '../run-events.js';
import type { RunStatus } from '../run-state.js';
import { decide } from './decide.js';
import type { Decision, EventDraft, LiveAttemptState, RunInput, RunState } from './run-lifecycle.js';

const LIMITS = { maxAttempts: 3 };
const by = { coordinator: newId('crd'), generation: 4 };
const runId = newId('run');
const attempt: LiveAttemptState = {
  ...{ attemptId: newId('att'), number: 1, generation: 4, token: 't', workerId: newId('wkr'), workerName: 'gpu-1', phase: 'RUNNING' },
  ...{ startStep: 0, lastStep: 7, progressed: false },
};
const fence = { runId, attemptId: attempt.attemptId, generation: 4, token: 't' };

const state = (status: RunStatus, more: Partial<RunState> = {}): RunState => ({
  ...{
    runId,
    status,
    generation: 4,
    owner: by.coordinator,
    attempt: null,
    ended: [],
    attemptCount: 1,
    highestStep: 7,
    checkpointStep: null,
  },
  forkedAtStep: null,
  ...more,
});
const worked = (status: RunStatus, more: Partial<RunState> = {}) => state(status, { attempt, ...more });
const fact = (kind: RunEventKind, rest: object = {}): RunInput => ({
  kind: 'FACT',
  fence,
  fact: RunEventInputSchema.parse({ eventId: kind, kind, occurredAt: '2026-01-01T00:00:00Z', ...rest }),
});
const failure = (code: string) => fact('ATTEMPT_FAILED', { failure: { code, message: 'it went wrong', details: {} } });
const lost: RunInput = { kind: 'LOST', by, attemptId: attempt.attemptId, reason: 'silent' };

function done(decision: Decision): Extract<Decision, { ok: true }> {
  if (!decision.ok) throw new Error(decision.message);
  return decision;
}
const kindOf = (draft: EventDraft) => ('fact' in draft ? draft.fact.kind : draft.kind);
const outcome = (from: RunState, input: RunInput) => {
  const decision = done(decide(from, input, LIMITS));
  return { status: decision.state.status, events: decision.events.map(kindOf), attempt: decision.state.attempt };
};

describe('an attempt that fails while somebody has asked for something', () => {
  test.each<[string, RunInput, RunEventKind]>([
    ['its worker is lost', lost, 'ATTEMPT_LOST'],
    ['it fails, and could be tried again', failure('WORKER_STOPPING'), 'ATTEMPT_FAILED'],
    ['it fails for good', failure('NON_FINITE_LOSS'), 'ATTEMPT_FAILED'],
  ])('%s: the run is paused, or cancelled, and neither tried again nor failed', (_what, input, event) => {
    expect(outcome(worked('PAUSING'), input)).toEqual({ status: 'PAUSED', events: [event, 'RUN_PAUSED'], attempt: null });
    expect(outcome(worked('CANCELLING'), input)).toEqual({ status: 'CANCELLED', events: [event, 'RUN_CANCELLED'], attempt: null });
  });

  test('nobody owns it afterwards, and the attempt is kept with its cause', () => {
    const decision = done(decide(worked('PAUSING'), failure('OUT_OF_MEMORY'), LIMITS));
    expect(decision.state).toMatchObject({ owner: null, ended: [{ number: 1, status: 'FAILED', cause: 'OUT_OF_MEMORY', lastStep: 7 }] });
    expect(decision.changes.map(({ kind }) => kind)).toEqual(['END_ATTEMPT', 'MOVE']);
  });

  test('without such a wish it is tried again, or has failed', () => {
    expect(outcome(worked('RUNNING'), lost)).toMatchObject({ status: 'QUEUED', events: ['ATTEMPT_LOST', 'RUN_REQUEUED'] });
    expect(outcome(worked('RUNNING'), failure('NON_FINITE_LOSS'))).toMatchObject({
      status: 'FAILED',
      events: ['ATTEMPT_FAILED', 'RUN_FAILED'],
    });
  });
});

describe('a worker that does not take the run', () => {
  const offered = { ...attempt, phase: 'OFFERED' } as const;
  const refused: RunInput = { kind: 'REFUSED', by, attemptId: attempt.attemptId, reason: 'busy' };

  test('leaves it queued at no charge, or as was asked meanwhile', () => {
    expect(done(decide(state('PREPARING', { attempt: offered }), refused, LIMITS)).state).toMatchObject({ status: 'QUEUED', ended: [] });
    expect(outcome(state('PAUSING', { attempt: offered }), refused)).toMatchObject({ status: 'PAUSED', events: ['RUN_PAUSED'] });
    expect(outcome(state('CANCELLING', { attempt: offered }), refused)).toMatchObject({ status: 'CANCELLED', events: ['RUN_CANCELLED'] });
  });

  test('cannot be said of one that has begun', () => {
    expect(decide(worked('RUNNING'), refused, LIMITS)).toMatchObject({ ok: false, reason: 'STALE' });
  });
});

describe('who does not own the run, or the attempt, decides nothing', () => {
  test.each<[string, RunState, RunInput]>([
    ['a former owner', worked('RUNNING', { generation: 5 }), lost],
    ['another coordinator', worked('RUNNING', { owner: newId('crd') }), lost],
    ['the worker of an attempt that has ended', state('QUEUED'), fact('STEP_COMMITTED', { step: 8 })],
    ['a worker of an older generation', worked('RUNNING', { attempt: { ...attempt, generation: 5 } }), fact('STEP_COMMITTED', { step: 8 })],
    ['a worker with another token', worked('RUNNING', { attempt: { ...attempt, token: 'u' } }), fact('STEP_COMMITTED', { step: 8 })],
  ])('%s', (_what, from, input) => {
    expect(decide(from, input, LIMITS)).toMatchObject({ ok: false, reason: 'STALE' });
  });
});

describe('a run succeeds with a checkpoint of its own', () => {
  const succeeded = fact('RUN_SUCCEEDED', { step: 10 });

  test('without one it does not, and that from which a fork started is not its own', () => {
    expect(decide(worked('RUNNING'), succeeded, LIMITS)).toMatchObject({ ok: false, reason: 'CONFLICT' });
    expect(decide(worked('RUNNING', { checkpointStep: 5, forkedAtStep: 5 }), succeeded, LIMITS)).toMatchObject({
      ok: false,
      reason: 'CONFLICT',
    });
  });

  test('with one it does, a fork too', () => {
    for (const forkedAtStep of [null, 5])
      expect(done(decide(worked('RUNNING', { checkpointStep: 10, forkedAtStep }), succeeded, LIMITS))).toMatchObject({
        state: { status: 'SUCCEEDED' },
        changes: [{ kind: 'ADVANCE' }, { kind: 'END_ATTEMPT' }, { kind: 'MOVE' }, { kind: 'ADD_MODEL' }],
      });
  });

  test('a fork that has done nothing yet begins after the step that it started from', () => {
    const offer: RunInput = {
      ...{ kind: 'OFFER', by, microBatchSize: null },
      attempt: { attemptId: newId('att'), token: 'u', workerId: newId('wkr'), workerName: 'gpu-2' },
    };
    const fork = state('QUEUED', { attemptCount: 0, checkpointStep: 5, forkedAtStep: 5, highestStep: 5 });
    expect(done(decide(fork, offer, LIMITS)).state.attempt).toMatchObject({ number: 1, startStep: 5, lastStep: 5, progressed: false });
  });
});
