import type { Outcome, Report, RunBook } from '@roentgen/coordinator';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import {
  isTerminal,
  type AttemptId,
  type Clock,
  type CoordinatorId,
  type RunId,
  type RunInput,
  type RunOwner,
  type RunWait,
} from '@roentgen/domain';

/** Who has a run by what was told to coordinators, and for how long. */
interface Ownership {
  holder: CoordinatorId | null;
  untilMs: number;
  /** Each is a generation of its own. */
  takeovers: number;
  attempt: { readonly attemptId: AttemptId; readonly generation: number; readonly token: string } | null;
}

export interface Witness {
  /** Whether a worker works on the attempt at this moment. */
  readonly isHeld: (attemptId: AttemptId) => boolean;
}

/**
 * A run book under the eyes of somebody who keeps accounts of his own of who owns a run: that the book took a decision only from its owner, by the
 * newest takeover, and facts only with the fence of the attempt that it gave out. He believes no row and no state of the machine.
 */
export class WatchedRunBook implements RunBook {
  readonly violations: string[] = [];
  /** Attempts that were given up while a worker held them. */
  readonly lostWhileHeld: { readonly runId: RunId; readonly attemptId: AttemptId; readonly reason: string }[] = [];
  witness: Witness = { isHeld: () => false };
  private readonly runs = new Map<RunId, Ownership>();

  constructor(
    private readonly book: RunBook,
    private readonly clock: Clock,
  ) {}

  async claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]> {
    const taken = await this.book.claimOpen(coordinator, leaseMs, maxOwned);
    for (const runId of taken) {
      const run = this.of(runId);
      if (run.holder !== null && run.untilMs >= this.nowMs) this.violations.push(`${coordinator} took a run that ${run.holder} holds`);
      Object.assign(run, { holder: coordinator, untilMs: this.nowMs + leaseMs, takeovers: run.takeovers + 1 });
    }
    return taken;
  }

  async renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    const leased = await this.book.renew(coordinator, leaseMs);
    for (const { runId, generation } of leased) {
      const run = this.of(runId);
      if (run.holder !== coordinator || run.untilMs < this.nowMs) this.violations.push(`${coordinator} renewed a lease of ${run.holder}`);
      if (generation !== run.takeovers) this.violations.push(`generation ${generation} after ${run.takeovers} takeovers`);
      run.untilMs = this.nowMs + leaseMs;
    }
    return leased;
  }

  async release(coordinator: CoordinatorId): Promise<void> {
    await this.book.release(coordinator);
    for (const run of this.runs.values()) if (run.holder === coordinator) run.holder = null;
  }

  liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]> {
    return this.book.liveAttempts(runIds);
  }

  explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void> {
    return this.book.explainWait(runId, by, wait);
  }

  async apply(runId: RunId, input: RunInput): Promise<Outcome> {
    const outcome = await this.book.apply(runId, input);
    if (!outcome.decision.ok) return outcome;
    const run = this.of(runId);
    if ('by' in input) {
      const { coordinator, generation } = input.by;
      if (run.holder !== coordinator || run.takeovers !== generation)
        this.violations.push(
          `${input.kind} of ${coordinator}, generation ${generation}, was taken: the run is ${run.holder}'s of ${run.takeovers}`,
        );
      if (input.kind === 'OFFER') run.attempt = { attemptId: input.attempt.attemptId, generation, token: input.attempt.token };
      if (input.kind === 'LOST' && this.witness.isHeld(input.attemptId))
        this.lostWhileHeld.push({ runId, attemptId: input.attemptId, reason: input.reason });
    }
    this.follow(run, outcome);
    return outcome;
  }

  async report(report: Report): Promise<Outcome> {
    const outcome = await this.book.report(report);
    const run = this.of(report.runId);
    if (outcome.events.length > 0) {
      const { attempt } = run;
      const isOwn = attempt?.attemptId === report.attemptId && attempt.generation === report.generation && attempt.token === report.token;
      if (!isOwn) this.violations.push(`facts of ${report.attemptId}, generation ${report.generation}, were taken without its fence`);
    }
    this.follow(run, outcome);
    return outcome;
  }

  /** Nobody owns a run that has ended or pauses. */
  private follow(run: Ownership, { decision }: Outcome): void {
    if (!decision.ok) return;
    for (const change of decision.changes) {
      if (change.kind === 'MOVE' && (isTerminal(change.to) || change.to === 'PAUSED')) run.holder = null;
      if (change.kind === 'END_ATTEMPT') run.attempt = null;
    }
  }

  private of(runId: RunId): Ownership {
    const known = this.runs.get(runId) ?? { holder: null, untilMs: 0, takeovers: 0, attempt: null };
    this.runs.set(runId, known);
    return known;
  }

  private get nowMs(): number {
    return this.clock.now().getTime();
  }
}
