import type { AttemptId, CoordinatorId, RunId, WorkerId } from '../ids.js';
import type { RunEventInput, RunEventKind, RunFailure, SavedCheckpoint } from '../run-events.js';
import type { RunStatus } from '../run-state.js';
import type { FailureCause } from './failure-causes.js';

/** How an attempt can end. REFUSED: the worker did not take it, so it never was one. */
export const ENDED_ATTEMPT_STATUSES = ['SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED', 'PAUSED', 'REFUSED'] as const;
export type EndedAttemptStatus = (typeof ENDED_ATTEMPT_STATUSES)[number];

/** What a worker shows to prove that an attempt is its own. */
export interface AttemptFence {
  readonly runId: RunId;
  readonly attemptId: AttemptId;
  readonly generation: number;
  readonly token: string;
}

/** What a coordinator shows to prove that a run is its own. */
export interface RunOwner {
  readonly coordinator: CoordinatorId;
  readonly generation: number;
}

/** The attempt that is under way. */
export interface LiveAttemptState {
  readonly attemptId: AttemptId;
  readonly number: number;
  readonly generation: number;
  readonly token: string;
  readonly workerId: WorkerId;
  readonly workerName: string;
  /** RUNNING once the worker has computed. */
  readonly phase: 'OFFERED' | 'RUNNING';
  /** Step of the checkpoint that it went on from, 0 without one. */
  readonly startStep: number;
  /** Newest step that it reported, `startStep` before the first. */
  readonly lastStep: number;
  /** It took the run beyond every step so far, or saved a checkpoint after the one it started from. */
  readonly progressed: boolean;
}

export interface EndedAttemptState {
  readonly number: number;
  readonly workerName: string;
  readonly status: EndedAttemptStatus;
  /** Null where it did not fail. */
  readonly cause: FailureCause | null;
  readonly lastStep: number;
  readonly progressed: boolean;
}

/** All that decisions about a run depend on; the store gives it under the lock of the run. */
export interface RunState {
  readonly runId: RunId;
  readonly status: RunStatus;
  /** Counts the owners: each takeover raises it. */
  readonly generation: number;
  readonly owner: CoordinatorId | null;
  readonly attempt: LiveAttemptState | null;
  /** All since one last got the run further, and some before that, oldest first; without the refused. */
  readonly ended: readonly EndedAttemptState[];
  /** Number of the newest attempt, refused or not; 0 before the first. */
  readonly attemptCount: number;
  readonly highestStep: number;
  /** Step of the checkpoint that the run goes on from; null without one. */
  readonly checkpointStep: number | null;
  /** Step of the checkpoint that a fork started from, of another run; null of a run that began at step 0. */
  readonly forkedAtStep: number | null;
}

/** What can happen to a run. */
export type RunInput =
  | {
      readonly kind: 'OFFER';
      readonly by: RunOwner;
      readonly attempt: OfferedAttempt;
      /** What the run is to keep from here on; null where it has one. */
      readonly microBatchSize: number | null;
    }
  | { readonly kind: 'REFUSED'; readonly by: RunOwner; readonly attemptId: AttemptId; readonly reason: string }
  | {
      readonly kind: 'LOST';
      readonly by: RunOwner;
      readonly attemptId: AttemptId;
      readonly reason: string;
      /** WORKER_STALLED: it is heard, and makes no progress. Left out: WORKER_LOST. */
      readonly code?: LossCode;
    }
  /** Its owner finds that nobody works on a run on which somebody should. */
  | { readonly kind: 'ABANDONED'; readonly by: RunOwner }
  | { readonly kind: 'FACT'; readonly fence: AttemptFence; readonly fact: RunEventInput }
  | RunCommand;

/** How a worker was lost. */
export type LossCode = 'WORKER_LOST' | 'WORKER_STALLED';

/** What users ask for; `force`: do not wait for the worker, and go back to its last checkpoint. */
export type RunCommand =
  { readonly kind: 'CANCEL' | 'PAUSE'; readonly force: boolean; readonly why: Why } | { readonly kind: 'RESUME'; readonly why: Why };

export interface OfferedAttempt {
  readonly attemptId: AttemptId;
  readonly token: string;
  readonly workerId: WorkerId;
  readonly workerName: string;
}

export interface Why {
  readonly code: string;
  readonly message: string;
}

/** What the store writes, in this order, each on the condition that it still finds what it changes. */
export type RunChange =
  | { readonly kind: 'OPEN_ATTEMPT'; readonly attempt: LiveAttemptState }
  | { readonly kind: 'SETTLE_MICRO_BATCH'; readonly microBatchSize: number }
  | { readonly kind: 'START_ATTEMPT'; readonly attemptId: AttemptId }
  | {
      readonly kind: 'ADVANCE';
      readonly attemptId: AttemptId;
      readonly lastStep: number;
      readonly highestStep: number;
      readonly progressed: boolean;
    }
  | { readonly kind: 'ADD_CHECKPOINT'; readonly attemptId: AttemptId; readonly checkpoint: SavedCheckpoint }
  | {
      readonly kind: 'END_ATTEMPT';
      readonly attemptId: AttemptId;
      readonly workerName: string;
      readonly status: EndedAttemptStatus;
      readonly cause: FailureCause | null;
      readonly why: Why | null;
    }
  | { readonly kind: 'MOVE'; readonly from: RunStatus; readonly to: RunStatus; readonly why: Why | null; readonly retryAfterMs: number }
  | { readonly kind: 'ADD_MODEL' };

/** An event as it follows from a decision: a worker's fact, or one that gets its id and time when it is stored. */
export type EventDraft =
  | { readonly fact: RunEventInput }
  | {
      readonly kind: RunEventKind;
      readonly status: RunStatus | null;
      readonly about: { attemptId?: AttemptId; workerId?: WorkerId; message?: string | null; failure?: RunFailure };
    };

export type Decision =
  | {
      readonly ok: true;
      readonly state: RunState;
      readonly changes: readonly RunChange[];
      readonly events: readonly EventDraft[];
      /** What was reported was not taken, and this is to be written all the same: why whoever sent it has to stop. */
      readonly refused?: string;
    }
  /** STALE: whoever asks does not own the run or the attempt (any more). CONFLICT: it cannot be done in this state. Nothing changes. */
  | { readonly ok: false; readonly reason: 'STALE' | 'CONFLICT'; readonly message: string };

/** How many tries in a row may bring a run no further. */
export interface RetryLimits {
  readonly maxAttempts: number;
}
