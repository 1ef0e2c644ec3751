import { assertNever } from '../errors.js';
import { isTerminal } from '../run-state.js';
import { conflict } from './refusals.js';
import type { Decision, RunCommand, RunState } from './run-lifecycle.js';
import { Transition } from './transition.js';

type Command<K extends RunCommand['kind']> = Extract<RunCommand, { kind: K }>;

/** Nothing to do: it was asked for before, or is so already. */
const unchanged = (state: RunState): Decision => ({ ok: true, state, changes: [], events: [] });

/** The part of the machine that answers users. Asking twice is asking once. */
export function decideCommand(state: RunState, command: RunCommand): Decision {
  switch (command.kind) {
    case 'CANCEL':
      return decideCancel(state, command);
    case 'PAUSE':
      return decidePause(state, command);
    case 'RESUME':
      return decideResume(state, command);
    default:
      return assertNever(command);
  }
}

/** A run that nobody works on is CANCELLED at once; else CANCELLING, until its worker has left. `force` does not wait for the worker. */
function decideCancel(state: RunState, { force, why }: Command<'CANCEL' | 'PAUSE'>): Decision {
  if (isTerminal(state.status)) return unchanged(state);
  if (state.status === 'CANCELLING' && !force) return unchanged(state);
  const next = new Transition(state);
  const atOnce = force || state.status === 'QUEUED' || state.status === 'PAUSED';
  if (!atOnce) {
    next.move('CANCELLING', why);
    next.emit('CANCEL_REQUESTED', 'CANCELLING', { message: why.message });
    return next.done();
  }
  next.emit('CANCEL_REQUESTED', null, { message: why.message });
  if (state.attempt !== null) next.endAttempt(state.attempt, 'CANCELLED', null, why);
  next.move('CANCELLED', why);
  next.emit('RUN_CANCELLED', 'CANCELLED', { message: why.message });
  return next.done();
}

/** A run that nobody works on is PAUSED at once; else PAUSING, until its worker has left. `force` goes back to the last checkpoint. */
function decidePause(state: RunState, { force, why }: Command<'CANCEL' | 'PAUSE'>): Decision {
  if (state.status === 'PAUSED' || (state.status === 'PAUSING' && !force)) return unchanged(state);
  if (isTerminal(state.status) || state.status === 'CANCELLING')
    return conflict(`${state.runId} is ${state.status}: there is nothing left to pause.`);
  const next = new Transition(state);
  if (!force && state.status !== 'QUEUED') {
    next.move('PAUSING', why);
    next.emit('PAUSE_REQUESTED', 'PAUSING', { message: why.message });
    return next.done();
  }
  next.emit('PAUSE_REQUESTED', null, { message: why.message });
  if (state.attempt !== null) next.endAttempt(state.attempt, 'PAUSED', null, why);
  next.move('PAUSED', why);
  next.emit('RUN_PAUSED', 'PAUSED', { message: why.message });
  return next.done();
}

/** Back into the queue. Of a run that is not paused nothing changes. */
function decideResume(state: RunState, { why }: Command<'RESUME'>): Decision {
  if (isTerminal(state.status) || state.status === 'CANCELLING')
    return conflict(`${state.runId} is ${state.status} and does not go on. Fork it from one of its checkpoints instead.`);
  if (state.status === 'PAUSING')
    return conflict(
      `${state.runId} is PAUSING: its worker has not left it yet. Resume it once it is PAUSED, or pause it with force first.`,
    );
  if (state.status !== 'PAUSED') return unchanged(state);
  const next = new Transition(state);
  next.move('QUEUED', why);
  next.emit('RUN_RESUMED', 'QUEUED', { message: why.message });
  return next.done();
}
