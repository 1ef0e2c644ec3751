import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import type { AttemptFence, CoordinatorId, Decision, RunEvent, RunEventInput, RunId, RunInput, RunOwner, RunWait } from '@roentgen/domain';

/** A batch of facts about an attempt, as its worker sends it. */
export interface Report extends AttemptFence {
  readonly events: readonly RunEventInput[];
}

/** What was decided, and the events that it put into the log; to be published. */
export interface Outcome {
  readonly decision: Decision;
  readonly events: readonly RunEvent[];
}

/**
 * The runs, who owns them and what happens to them. Each method is one transaction; `apply` and `report` put the run machine (`decide`) between reading and
 * writing, under the lock of the run. Kept in Postgres; in memory for tests, which hold both to one contract.
 */
export interface RunBook {
  /** Takes over open runs that nobody owns, until the coordinator owns `maxOwned`; each takeover raises the generation. */
  claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]>;
  /** Prolongs the leases still held; the runs that this coordinator now owns, oldest first. */
  renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]>;
  release(coordinator: CoordinatorId): Promise<void>;
  liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]>;
  /**
   * Says why a queued run waits, or one that a worker holds, or (null) that the latter goes on; forgotten when it is queued, or given to a worker. Changes
   * nothing of a run that is not the owner's of this generation.
   */
  explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void>;
  apply(runId: RunId, input: RunInput): Promise<Outcome>;
  /** Facts that are in the log already change nothing. */
  report(report: Report): Promise<Outcome>;
}
