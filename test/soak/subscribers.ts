import { watchRun, type RoentgenClient, type RunEvent } from '@roentgen/client';
import { randomNumbers } from '../testkit/seed.js';

/** A subscriber stays for this many events at most, and goes back by this many at most when it returns. */
const LONGEST_STAY_EVENTS = 40;

/** Many who look at one run, each for a while, again and again; what each sees has to be without a gap. */
export class Subscribers {
  visits = 0;
  events = 0;
  /** `expected 41, got 43`: none is allowed. */
  readonly gaps: string[] = [];
  readonly failures: string[] = [];
  private readonly abort = new AbortController();
  private readonly visitors: Promise<void>[] = [];

  /** @param latest sequence of the last event that is known of */
  constructor(
    private readonly client: RoentgenClient,
    private readonly runId: string,
    private readonly latest: () => number,
  ) {}

  start(count: number): void {
    for (let index = 0; index < count; index++) this.visitors.push(this.comeAndGo(randomNumbers(index + 1)));
  }

  /** Returns when the last one has gone. */
  async stop(): Promise<void> {
    this.abort.abort();
    await Promise.all(this.visitors);
  }

  private async comeAndGo(random: () => number): Promise<void> {
    const upTo = (most: number) => Math.floor(random() * most);
    try {
      while (
        !this.abort.signal.aborted &&
        !(await this.visit(Math.max(0, this.latest() - upTo(LONGEST_STAY_EVENTS)), 1 + upTo(LONGEST_STAY_EVENTS)))
      );
    } catch (thrown) {
      if (!this.abort.signal.aborted) this.failures.push(String(thrown));
    }
  }

  /** @returns whether the run has ended */
  private async visit(afterSequence: number, stayEvents: number): Promise<boolean> {
    this.visits += 1;
    let expected = afterSequence + 1;
    for await (const event of watchRun(this.client, this.runId, { afterSequence, signal: this.abort.signal })) {
      this.note(event, expected);
      expected = event.sequence + 1;
      if (expected > afterSequence + stayEvents) return false;
    }
    return true;
  }

  private note({ sequence }: RunEvent, expected: number): void {
    this.events += 1;
    if (sequence !== expected) this.gaps.push(`expected ${expected}, got ${sequence}`);
  }
}
