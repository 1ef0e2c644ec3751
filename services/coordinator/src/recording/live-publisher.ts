import type { RunEvent } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { LiveRunEvents } from '@roentgen/protocol';

/** Messages stay well below the broker's limit of 2 MiB, whatever the events carry. */
const EVENTS_PER_MESSAGE = 200;

/** Tells gateways of rows that were committed. Best effort: a gateway that misses one reads it from Postgres within a second. */
export class LivePublisher {
  constructor(
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {}

  /** Call after the commit, never before. Never throws: what was committed did not fail. */
  publish(events: readonly RunEvent[]): void {
    const runId = events[0]?.runId;
    if (runId === undefined) return;
    try {
      for (let start = 0; start < events.length; start += EVENTS_PER_MESSAGE) {
        this.bus.publish(LiveRunEvents, [runId], { runId, events: events.slice(start, start + EVENTS_PER_MESSAGE) });
      }
    } catch (err) {
      this.logger.warn({ err, runId }, 'recorded events could not be published; gateways read them from the log');
    }
  }
}
