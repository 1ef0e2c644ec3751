import type { RunEvent, RunId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { RunEventCursor, type RunEventLog } from './run-event-cursor.js';

export interface RunEventFeedOptions {
  /** How often the newest sequences of all subscribed runs are looked up, in one query. */
  readonly headBeatMs: number;
  /** Events per read of the log. */
  readonly pageSize: number;
  /** Live events that wait for one slow subscriber; with more, all are dropped and read from the log when it comes to them. */
  readonly maxBuffered: number;
}

export const FEED_DEFAULTS: RunEventFeedOptions = { headBeatMs: 1_000, pageSize: 500, maxBuffered: 2_000 };

export interface RunEventSource extends RunEventLog {
  heads(runIds: readonly RunId[]): Promise<Map<RunId, number>>;
}

/**
 * Gives each subscriber every event of a run once and in order, from two sources: live messages, which may be lost, repeated or late, and the log,
 * which has everything. Live messages only save reads: whatever they miss is found by the jump in the sequence, by `resync` after a broken bus
 * connection, or by the head beat at the latest.
 */
export class RunEventFeed {
  private readonly cursors = new Map<RunId, Set<RunEventCursor>>();
  private beat: NodeJS.Timeout | null = null;
  private beating = false;

  constructor(
    private readonly source: RunEventSource,
    private readonly logger: Logger,
    private readonly options: RunEventFeedOptions = FEED_DEFAULTS,
  ) {}

  /** The events after a sequence, to the one that ends the run. The iterator's `return()` frees all that it holds, at any moment. */
  subscribe(runId: RunId, afterSequence: number): AsyncIterableIterator<RunEvent> {
    const cursor = new RunEventCursor(runId, afterSequence, this.source, { ...this.options, logger: this.logger }, () =>
      this.remove(cursor),
    );
    const cursors = this.cursors.get(runId) ?? new Set();
    this.cursors.set(runId, cursors.add(cursor));
    this.beat ??= setInterval(() => void this.compareHeads(), this.options.headBeatMs);
    return cursor;
  }

  /** Live events of one run, in order; from the bus or from this process. */
  publish(runId: RunId, events: readonly RunEvent[]): void {
    for (const cursor of this.cursors.get(runId) ?? []) cursor.offer(events);
  }

  /** Live messages may have been lost: everyone reads the log again. */
  resync(): void {
    for (const cursor of this.all()) cursor.readLog();
  }

  get subscriberCount(): number {
    return this.all().length;
  }

  /** Ends every subscription. */
  async close(): Promise<void> {
    await Promise.all(this.all().map((cursor) => cursor.return()));
  }

  private async compareHeads(): Promise<void> {
    // A slow database must not get a second question before it has answered the first.
    if (this.beating) return;
    this.beating = true;
    // What a subscriber has by now was committed, so a head that is read from here on is not older.
    const given = new Map(this.all().map((cursor) => [cursor, cursor.given]));
    try {
      const heads = await this.source.heads([...this.cursors.keys()]);
      for (const cursor of this.all()) cursor.expect(heads.get(cursor.runId) ?? 0, given.get(cursor) ?? 0);
    } catch (err) {
      this.logger.warn({ err }, 'the heads of the subscribed runs could not be read; trying again');
    } finally {
      this.beating = false;
    }
  }

  private all(): RunEventCursor[] {
    return [...this.cursors.values()].flatMap((cursors) => [...cursors]);
  }

  private remove(cursor: RunEventCursor): void {
    const cursors = this.cursors.get(cursor.runId);
    cursors?.delete(cursor);
    if (cursors?.size === 0) this.cursors.delete(cursor.runId);
    if (this.cursors.size > 0 || this.beat === null) return;
    clearInterval(this.beat);
    this.beat = null;
  }
}
