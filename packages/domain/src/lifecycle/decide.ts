import { assertNever } from '../errors.js';
import type { RunEventInput, RunEventKind, RunFailure } from '../run-events.js';
import { canMove, isTerminal, type RunStatus } from '../run-state.js';
import { decideCommand } from './commands.js';
import { causeOf, ruleOf, type FailureCause } from './failure-causes.js';
import { judgeRun } from './retry.js';
import type { AttemptFence, Decision, LiveAttemptState, RetryLimits, RunInput, RunOwner, RunState } from './run-lifecycle.js';
import { conflict, stale } from './refusals.js';
import { Transition } from './transition.js';

const WORKING: readonly RunStatus[] = ['PREPARING', 'RUNNING'];

/**
 * The life of a run as a pure machine: what an input changes, or why it changes nothing. No clock, no ids, no I/O: the store gives the state under the
 * lock of the run, and writes what comes back in the same transaction.
 */
export function decide(state: RunState, input: RunInput, limits: RetryLimits): Decision {
  switch (input.kind) {
    case 'OFFER':
    case 'REFUSED':
    case 'LOST':
    case 'ABANDONED':
      return owns(state, input.by) ? decideOwned(state, input, limits) : notOwner(state, input.by);
    case 'FACT':
      return decideFact(state, input, limits);
    default:
      return decideCommand(state, input);
  }
}

function owns(state: RunState, by: RunOwner): boolean {
  return state.owner === by.coordinator && state.generation === by.generation;
}

function notOwner(state: RunState, by: RunOwner): Decision {
  return stale(`${state.runId} is not ${by.coordinator}'s of generation ${by.generation}: another decides about it now.`);
}

type OwnedInput = Extract<RunInput, { by: RunOwner }>;

function decideOwned(state: RunState, input: OwnedInput, limits: RetryLimits): Decision {
  switch (input.kind) {
    case 'OFFER':
      return decideOffer(state, input);
    case 'REFUSED':
      return decideRefused(state, input);
    case 'LOST':
      return decideLost(state, input, limits);
    case 'ABANDONED':
      return decideAbandoned(state);
    default:
      return assertNever(input);
  }
}

function decideOffer(state: RunState, { attempt: offered, microBatchSize }: Extract<RunInput, { kind: 'OFFER' }>): Decision {
  if (state.status !== 'QUEUED' || state.attempt !== null) return conflict(`${state.runId} is ${state.status}: it wants no worker.`);
  const startStep = state.checkpointStep ?? 0;
  const number = state.attemptCount + 1;
  const next = new Transition(state);
  next.move('PREPARING', null);
  next.openAttempt({
    ...offered,
    number,
    generation: state.generation,
    phase: 'OFFERED',
    startStep,
    lastStep: startStep,
    progressed: false,
  });
  if (microBatchSize !== null) next.settleMicroBatch(microBatchSize);
  const { attemptId, workerId, workerName } = offered;
  const batches = microBatchSize === null ? '' : `, micro-batches of ${microBatchSize}`;
  next.emit('ATTEMPT_ASSIGNED', 'PREPARING', { attemptId, workerId, message: `attempt ${number} on ${workerName}${batches}` });
  return next.done();
}

/** The worker did not take it. RUNNING: it did after all, and only its answer came too late. */
function decideRefused(state: RunState, { attemptId, reason }: Extract<RunInput, { kind: 'REFUSED' }>): Decision {
  const { attempt } = state;
  if (attempt?.attemptId !== attemptId || attempt.phase !== 'OFFERED') return stale(`attempt ${attemptId} is under way, or has ended.`);
  const next = new Transition(state);
  next.endAttempt(attempt, 'REFUSED', null, { code: 'REFUSED', message: reason });
  if (settleRequested(next, attempt)) return next.done();
  next.move('QUEUED', { code: 'WORKER_REFUSED', message: reason });
  next.emit('RUN_REQUEUED', 'QUEUED', { attemptId, workerId: attempt.workerId, message: reason });
  return next.done();
}

function decideLost(state: RunState, input: Extract<RunInput, { kind: 'LOST' }>, limits: RetryLimits): Decision {
  const { attempt } = state;
  const { attemptId, reason, code = 'WORKER_LOST' } = input;
  if (attempt?.attemptId !== attemptId) return stale(`attempt ${attemptId} has ended.`);
  const failure: RunFailure = { code, message: reason, details: { worker: attempt.workerName, step: attempt.lastStep } };
  const next = new Transition(state);
  next.emit('ATTEMPT_LOST', null, { attemptId, workerId: attempt.workerId, message: reason, failure });
  failAttempt(next, attempt, 'LOST', failure, limits);
  return next.done();
}

/** Somebody should work on the run, and nobody does: a defect, or an operator's hand in the tables. */
function decideAbandoned(state: RunState): Decision {
  if (state.attempt !== null) return stale(`${state.runId} has attempt ${state.attempt.attemptId}.`);
  const next = new Transition(state);
  if (settleRequested(next, null)) return next.done();
  if (!WORKING.includes(state.status)) return conflict(`${state.runId} is ${state.status}: nobody should work on it.`);
  const message = 'nobody worked on the run';
  next.move('QUEUED', { code: 'NO_ATTEMPT', message });
  next.emit('RUN_REQUEUED', 'QUEUED', { message, failure: { code: 'NO_ATTEMPT', message, details: {} } });
  return next.done();
}

function decideFact(state: RunState, { fence, fact }: Extract<RunInput, { kind: 'FACT' }>, limits: RetryLimits): Decision {
  const attempt = heldWith(state, fence);
  if (attempt === null) return notHeld(state, fence);
  const next = new Transition(state);
  // Facts of the end carry the step at which it came.
  if (fact.step !== null) next.advance(attempt, fact.step);
  return applyFact(next, next.state.attempt ?? attempt, fact, limits);
}

/** The attempt that is under way, where the fence is its own. */
export function heldWith({ runId, attempt }: RunState, fence: AttemptFence): LiveAttemptState | null {
  const isOwn =
    attempt?.attemptId === fence.attemptId &&
    attempt.generation === fence.generation &&
    attempt.token === fence.token &&
    runId === fence.runId;
  return isOwn ? attempt : null;
}

export function notHeld({ status }: RunState, { attemptId, runId }: AttemptFence): Decision {
  return stale(`Attempt ${attemptId} of ${runId} (${status}) has ended or is another's: drop it.`);
}

function applyFact(next: Transition, attempt: LiveAttemptState, fact: RunEventInput, limits: RetryLimits): Decision {
  switch (fact.kind) {
    case 'RUN_STARTED': {
      next.startAttempt(attempt);
      // One that is being cancelled goes on being so.
      const starts = next.state.status === 'PREPARING';
      if (starts) next.move('RUNNING', null);
      next.keep(fact, attempt, starts ? 'RUNNING' : null);
      return next.done();
    }
    case 'CHECKPOINT_SAVED':
      if (fact.checkpoint !== null) next.saveCheckpoint(attempt, fact.checkpoint);
      next.keep(fact, attempt, null);
      return next.done();
    case 'RUN_SUCCEEDED':
      return applySuccess(next, attempt, fact);
    case 'RUN_CANCELLED':
      return applyEnd(next, attempt, fact, 'CANCELLED');
    case 'RUN_PAUSED':
      return applyPause(next, attempt, fact);
    case 'ATTEMPT_FAILED': {
      const failure = fact.failure ?? { code: 'INTERNAL', message: fact.message ?? 'the worker gave no reason', details: {} };
      next.keep(fact, attempt, null);
      failAttempt(next, attempt, 'FAILED', failure, limits);
      return next.done();
    }
    case 'EPOCH_STARTED':
    case 'STEP_COMMITTED':
    case 'EVALUATED':
      next.keep(fact, attempt, null);
      return next.done();
    default:
      return conflict(`${fact.kind} is for coordinators and gateways to say, not for a worker.`);
  }
}

/** The log must not say SUCCEEDED of a run that did not. */
function applySuccess(next: Transition, attempt: LiveAttemptState, fact: RunEventInput): Decision {
  const { runId, status, checkpointStep, forkedAtStep } = next.state;
  // The checkpoint that a fork started from is not its own.
  if (!canMove(status, 'SUCCEEDED') || checkpointStep === null || checkpointStep === forkedAtStep) {
    return conflict(
      `Attempt ${attempt.attemptId} cannot make ${runId} (${status}) SUCCEEDED: that takes a RUN_STARTED and a CHECKPOINT_SAVED of the run first.`,
    );
  }
  next.endAttempt(attempt, 'SUCCEEDED', null, null);
  next.move('SUCCEEDED', null);
  next.addModel();
  next.keep(fact, attempt, 'SUCCEEDED');
  return next.done();
}

function applyEnd(next: Transition, attempt: LiveAttemptState, fact: RunEventInput, to: 'CANCELLED'): Decision {
  next.endAttempt(attempt, to, null, null);
  next.move(to, null);
  next.keep(fact, attempt, to);
  return next.done();
}

/** The worker has left as it was asked to; a run that is to be cancelled by now is. */
function applyPause(next: Transition, attempt: LiveAttemptState, fact: RunEventInput): Decision {
  if (next.state.status !== 'PAUSING' && next.state.status !== 'CANCELLING')
    return conflict(`${next.state.runId} is ${next.state.status}: nobody asked for a pause.`);
  const cancelled = next.state.status === 'CANCELLING';
  next.endAttempt(attempt, 'PAUSED', null, null);
  next.keep(fact, attempt, cancelled ? null : 'PAUSED');
  if (cancelled) settleRequested(next, attempt);
  else next.move('PAUSED', null);
  return next.done();
}

/** Ends the attempt, then the run or another try, by the rules. */
export function failAttempt(
  next: Transition,
  attempt: LiveAttemptState,
  status: 'FAILED' | 'LOST',
  failure: RunFailure,
  limits: RetryLimits,
): void {
  const cause = causeOf(failure.code);
  next.endAttempt(attempt, status, cause, failure);
  if (settleRequested(next, attempt)) return;
  const verdict = judgeRun(next.state.ended, cause, limits);
  const about = { attemptId: attempt.attemptId, workerId: attempt.workerId };
  if (verdict.kind === 'retry') {
    const why = { code: failure.code, message: failure.message };
    next.move('QUEUED', why, verdict.afterMs);
    next.emit('RUN_REQUEUED', 'QUEUED', { ...about, message: failure.message, failure });
    return;
  }
  const final = verdict.failure ?? failure;
  next.move('FAILED', final);
  next.emit('RUN_FAILED', 'FAILED', { ...about, message: final.message, failure: withCause(final, cause) });
}

const withCause = (failure: RunFailure, cause: FailureCause): RunFailure => ({
  ...failure,
  details: { ...failure.details, retry: ruleOf(cause).retry },
});

/** What a user asked for while somebody worked on the run comes true now that nobody does. */
function settleRequested(next: Transition, attempt: LiveAttemptState | null): boolean {
  const about = attempt === null ? {} : { attemptId: attempt.attemptId, workerId: attempt.workerId };
  const { status } = next.state;
  const settled: Partial<Record<RunStatus, readonly ['CANCELLED' | 'PAUSED', RunEventKind]>> = {
    CANCELLING: ['CANCELLED', 'RUN_CANCELLED'],
    PAUSING: ['PAUSED', 'RUN_PAUSED'],
  };
  const outcome = settled[status];
  if (outcome === undefined || isTerminal(status)) return false;
  next.move(outcome[0], null);
  next.emit(outcome[1], outcome[0], about);
  return true;
}
