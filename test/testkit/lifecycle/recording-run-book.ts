import type { Outcome, Report, RunBook } from '@roentgen/coordinator';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import { assertNever, type Clock, type CoordinatorId, type RunId, type RunInput, type RunOwner, type RunWait } from '@roentgen/domain';

type Calls = { [M in keyof RunBook]: { readonly method: M; readonly args: Parameters<RunBook[M]> } };
export type RunBookCall = Calls[keyof RunBook];

/** A call, when it came, what it answered, and how the runs stood after it. */
export interface RecordedCall<Standing> {
  readonly nowMs: number;
  readonly call: RunBookCall;
  readonly answer: unknown;
  readonly standing: Standing;
}

/** Writes down all that is asked of a run book, in the order in which it is carried out. */
export class RecordingRunBook<Standing> implements RunBook {
  readonly calls: RecordedCall<Standing>[] = [];

  constructor(
    private readonly book: RunBook,
    private readonly clock: Clock,
    private readonly look: () => Standing,
  ) {}

  claimOpen(...args: Parameters<RunBook['claimOpen']>): Promise<RunId[]> {
    return this.keep({ method: 'claimOpen', args }, this.book.claimOpen(...args));
  }

  renew(...args: [CoordinatorId, number]): Promise<LeasedRun[]> {
    return this.keep({ method: 'renew', args }, this.book.renew(...args));
  }

  release(...args: [CoordinatorId]): Promise<void> {
    return this.keep({ method: 'release', args }, this.book.release(...args));
  }

  liveAttempts(...args: [readonly RunId[]]): Promise<LiveAttempt[]> {
    return this.keep({ method: 'liveAttempts', args }, this.book.liveAttempts(...args));
  }

  explainWait(...args: [RunId, RunOwner, RunWait | null]): Promise<void> {
    return this.keep({ method: 'explainWait', args }, this.book.explainWait(...args));
  }

  apply(...args: [RunId, RunInput]): Promise<Outcome> {
    return this.keep({ method: 'apply', args }, this.book.apply(...args));
  }

  report(...args: [Report]): Promise<Outcome> {
    return this.keep({ method: 'report', args }, this.book.report(...args));
  }

  /** The books in memory have carried out a call when they return its promise: nothing comes in between. */
  private async keep<T>(call: RunBookCall, answer: Promise<T>): Promise<T> {
    const seen = { nowMs: this.clock.now().getTime(), call, standing: this.look() };
    const place = this.calls.push({ ...seen, answer: undefined }) - 1;
    const value = await answer;
    this.calls[place] = { ...seen, answer: value };
    return value;
  }
}

/** Asks another book the same. */
export function carryOut(book: RunBook, { method, args }: RunBookCall): Promise<unknown> {
  switch (method) {
    case 'claimOpen':
      return book.claimOpen(...args);
    case 'renew':
      return book.renew(...args);
    case 'release':
      return book.release(...args);
    case 'liveAttempts':
      return book.liveAttempts(...args);
    case 'explainWait':
      return book.explainWait(...args);
    case 'apply':
      return book.apply(...args);
    case 'report':
      return book.report(...args);
    default:
      return assertNever(method);
  }
}
