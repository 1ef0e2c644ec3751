import { ConflictError, endsRun, type RunEvent, type RunId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { SubscriptionCursor } from '../../graphql/subscription-cursor.js';

export interface RunEventLog {
  /** At most `limit` events after a sequence, in order and without a gap. */
  readAfter(runId: RunId, afterSequence: number, limit: number): Promise<RunEvent[]>;
}

interface CursorOptions {
  readonly pageSize: number;
  readonly maxBuffered: number;
  readonly logger: Logger;
}

/** One subscriber's place in a run's log. */
export class RunEventCursor extends SubscriptionCursor<RunEvent> {
  /** In order, following `last` without a gap. */
  private ready: RunEvent[] = [];
  /** Live events by sequence, with gaps perhaps. */
  private readonly live = new Map<number, RunEvent>();
  /** True at first: what was published before the subscription is only in the log. */
  private mustRead = true;
  private failure: ConflictError | null = null;

  constructor(
    readonly runId: RunId,
    private last: number,
    private readonly log: RunEventLog,
    private readonly options: CursorOptions,
    onClose: () => void,
  ) {
    super(onClose);
  }

  /** Takes live events; those already given are left out. */
  offer(events: readonly RunEvent[]): void {
    if (this.closed) return;
    for (const event of events) if (event.sequence > this.reached()) this.live.set(event.sequence, event);
    if (this.live.size > this.options.maxBuffered) {
      this.live.clear();
      this.mustRead = true;
    }
    this.wake();
  }

  /** The newest sequence that the subscriber has. */
  get given(): number {
    return this.last;
  }

  /**
   * The log has at least this sequence: reads it if this subscriber is waiting for something older. One that ends before what was `given` when it was asked
   * for has gone back: what comes next would not follow what the subscriber has.
   */
  expect(head: number, given: number): void {
    if (head < given) return this.fail(head, given);
    if (this.isAsleep && head > this.last) this.readLog();
  }

  readLog(): void {
    this.mustRead = true;
    this.wake();
  }

  protected pull(): RunEvent | undefined | Promise<undefined> {
    if (this.failure !== null) this.throwFailure(this.failure);
    const event = this.ready.shift() ?? this.takeLive();
    if (event === undefined) return this.mustRead ? this.readPage() : this.sleep();
    this.last = event.sequence;
    if (endsRun(event.kind)) this.close();
    return event;
  }

  protected forget(): void {
    this.ready = [];
    this.live.clear();
  }

  private fail(head: number, given: number): void {
    this.failure = new ConflictError(
      `The log of ${this.runId} ends with event ${head}, and this subscription has given ${given}: the database was restored from a backup. ` +
        'Forget the events of this run, and subscribe again with afterSequence 0.',
      { runId: this.runId, head, given },
    );
    this.wake();
  }

  private throwFailure(failure: Error): never {
    this.close();
    throw failure;
  }

  private takeLive(): RunEvent | undefined {
    if (this.mustRead) return undefined;
    const event = this.live.get(this.last + 1);
    if (event !== undefined) this.live.delete(event.sequence);
    // Something later is here and the next one is not: it was lost or is late, and the log has it.
    else if (this.live.size > 0) this.mustRead = true;
    return event;
  }

  private async readPage(): Promise<undefined> {
    this.mustRead = false;
    let page: RunEvent[];
    try {
      page = await this.log.readAfter(this.runId, this.last, this.options.pageSize);
    } catch (err) {
      this.options.logger.warn({ err, runId: this.runId }, 'the log of a run could not be read; trying again at the next head beat');
      this.live.clear();
      return this.sleep();
    }
    this.ready = page;
    for (const sequence of this.live.keys()) if (sequence <= this.reached()) this.live.delete(sequence);
    if (page.length === this.options.pageSize) this.mustRead = true;
    // Live events that the log does not lead up to are not to be believed; true ones will be found by the head beat.
    else if (page.length === 0 && !this.live.has(this.last + 1)) this.live.clear();
  }

  private reached(): number {
    return this.ready.at(-1)?.sequence ?? this.last;
  }
}
