import { type RoentgenClient, type RunEvent, watchRun } from '@roentgen/client';

const ENDS = new Set(['RUN_SUCCEEDED', 'RUN_FAILED', 'RUN_CANCELLED']);

/** A run as a subscriber sees it, from its first event on, over as many connections as it takes. */
export class WatchedRun {
  readonly events: RunEvent[] = [];
  /** Why the subscription came back, each time it did. */
  readonly reconnects: string[] = [];
  private readonly lookers = new Set<() => void>();
  private failure: unknown = null;

  constructor(
    client: RoentgenClient,
    readonly id: string,
  ) {
    void this.follow(client);
  }

  /** Resolves once the events satisfy it. @throws Error with what was seen instead when that takes too long, or the run ends before */
  until(what: string, holds: (events: readonly RunEvent[]) => boolean, timeoutMs = 150_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        clearTimeout(timer);
        this.lookers.delete(look);
        settle();
      };
      const fail = (why: string) => done(() => reject(new Error(`${this.id}: waiting for ${what}: ${why}. Seen: ${this.story()}`)));
      const look = () => {
        if (this.failure !== null) return fail(`the subscription failed: ${String(this.failure)}`);
        if (holds(this.events)) return done(resolve);
        if (ENDS.has(this.events.at(-1)?.kind ?? '')) fail('the run has ended');
      };
      const timer = setTimeout(() => fail(`it did not come within ${timeoutMs} ms`), timeoutMs);
      this.lookers.add(look);
      look();
    });
  }

  ended(timeoutMs = 240_000): Promise<void> {
    return this.until('the end of the run', (events) => ENDS.has(events.at(-1)?.kind ?? ''), timeoutMs);
  }

  count(kind: RunEvent['kind']): number {
    return this.events.filter((event) => event.kind === kind).length;
  }

  /** The worker that was given the run last. */
  get workerName(): string {
    const assigned = this.events.findLast((event) => event.kind === 'ATTEMPT_ASSIGNED')?.message ?? '';
    const name = /worker-\d+/.exec(assigned)?.[0];
    if (name === undefined) throw new Error(`no worker is named in "${assigned}"`);
    return name;
  }

  /** What happened, in short; steps left out. */
  story(): string {
    return this.events
      .filter((event) => event.kind !== 'STEP_COMMITTED' || event === this.events.at(-1))
      .map(
        ({ sequence, kind, step, message }) =>
          `${sequence} ${kind}${step == null ? '' : ` @${step}`}${message == null ? '' : ` (${message})`}`,
      )
      .join('; ');
  }

  private async follow(client: RoentgenClient): Promise<void> {
    try {
      for await (const event of watchRun(client, this.id, { onReconnect: (reason) => this.reconnects.push(reason) })) {
        this.events.push(event);
        for (const look of [...this.lookers]) look();
      }
    } catch (error) {
      this.failure = error;
      for (const look of [...this.lookers]) look();
    }
  }
}
