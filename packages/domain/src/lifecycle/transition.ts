import type { RunEventInput, RunEventKind } from '../run-events.js';
import { canMove, isTerminal, type RunStatus } from '../run-state.js';
import type { FailureCause } from './failure-causes.js';
import {
  type Decision,
  type EndedAttemptStatus,
  type EventDraft,
  type LiveAttemptState,
  type RunChange,
  type RunState,
  type Why,
} from './run-lifecycle.js';

type About = Extract<EventDraft, { kind: RunEventKind }>['about'];

/** A decision in the making: each method changes the state, and notes what the store has to write for it. */
export class Transition {
  private readonly changes: RunChange[] = [];
  private readonly events: EventDraft[] = [];

  constructor(private current: RunState) {}

  get state(): RunState {
    return this.current;
  }

  /** @throws TypeError for a move that run-state.ts does not know: a defect here, not in what was asked */
  move(to: RunStatus, why: Why | null, retryAfterMs = 0): void {
    const from = this.current.status;
    if (!canMove(from, to)) throw new TypeError(`a run cannot go from ${from} to ${to}`);
    this.changes.push({ kind: 'MOVE', from, to, why, retryAfterMs });
    // Nobody owns a run that is not to be worked on.
    const owner = isTerminal(to) || to === 'PAUSED' ? null : this.current.owner;
    this.current = { ...this.current, status: to, owner };
  }

  openAttempt(attempt: LiveAttemptState): void {
    this.changes.push({ kind: 'OPEN_ATTEMPT', attempt });
    this.current = { ...this.current, attempt, attemptCount: attempt.number };
  }

  settleMicroBatch(microBatchSize: number): void {
    this.changes.push({ kind: 'SETTLE_MICRO_BATCH', microBatchSize });
  }

  startAttempt(attempt: LiveAttemptState): void {
    if (attempt.phase === 'RUNNING') return;
    this.changes.push({ kind: 'START_ATTEMPT', attemptId: attempt.attemptId });
    this.current = { ...this.current, attempt: { ...attempt, phase: 'RUNNING' } };
  }

  /** The attempt has come as far as `step`. */
  advance(attempt: LiveAttemptState, step: number): void {
    const highestStep = Math.max(this.current.highestStep, step);
    const progressed = attempt.progressed || step > this.current.highestStep;
    if (step === attempt.lastStep && progressed === attempt.progressed) return;
    this.changes.push({ kind: 'ADVANCE', attemptId: attempt.attemptId, lastStep: step, highestStep, progressed });
    this.current = { ...this.current, highestStep, attempt: { ...attempt, lastStep: step, progressed } };
  }

  saveCheckpoint(attempt: LiveAttemptState, checkpoint: NonNullable<RunEventInput['checkpoint']>): void {
    this.changes.push({ kind: 'ADD_CHECKPOINT', attemptId: attempt.attemptId, checkpoint });
    this.current = { ...this.current, checkpointStep: checkpoint.step };
    if (checkpoint.step <= attempt.startStep || attempt.progressed) return;
    const { attemptId, lastStep } = attempt;
    this.changes.push({ kind: 'ADVANCE', attemptId, lastStep, highestStep: this.current.highestStep, progressed: true });
    this.current = { ...this.current, attempt: { ...attempt, progressed: true } };
  }

  endAttempt(attempt: LiveAttemptState, status: EndedAttemptStatus, cause: FailureCause | null, why: Why | null): void {
    const { attemptId, workerName, number, lastStep, progressed } = attempt;
    this.changes.push({ kind: 'END_ATTEMPT', attemptId, workerName, status, cause, why });
    const ended = status === 'REFUSED' ? [] : [{ number, workerName, status, cause, lastStep, progressed }];
    this.current = { ...this.current, attempt: null, ended: [...this.current.ended, ...ended] };
  }

  addModel(): void {
    this.changes.push({ kind: 'ADD_MODEL' });
  }

  emit(kind: RunEventKind, status: RunStatus | null, about: About = {}): void {
    this.events.push({ kind, status, about });
  }

  /** A worker's fact; `status`: the state that the run has from here on, null where it stays. The machine, not the worker, says so. */
  keep(fact: RunEventInput, attempt: LiveAttemptState, status: RunStatus | null): void {
    this.events.push({ fact: { ...fact, attemptId: attempt.attemptId, workerId: attempt.workerId, status } });
  }

  /** Like `done`; whoever asked for something else hears that it was not taken. */
  refuse(why: string): Decision {
    return { ok: true, state: this.current, changes: this.changes, events: this.events, refused: why };
  }

  done(): Decision {
    return { ok: true, state: this.current, changes: this.changes, events: this.events };
  }
}
