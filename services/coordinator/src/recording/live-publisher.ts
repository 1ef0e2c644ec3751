import type { RunEvent } from '@roentgen/domain';
import type { Bus } from '@roentgen/messaging';
import { LiveRunEvents } from '@roentgen/protocol';

/** Messages stay well below the broker's limit of 1 MiB, whatever the events carry. */
const EVENTS_PER_MESSAGE = 200;

/** Tells gateways of rows that were committed. Best effort: a gateway that misses one reads it from Postgres within a second. */
export class LivePublisher {
  constructor(private readonly bus: Bus) {}

  /** Call after the commit, never before. */
  publish(events: readonly RunEvent[]): void {
    const runId = events[0]?.runId;
    if (runId === undefined || !this.bus.connected) return;
    for (let start = 0; start < events.length; start += EVENTS_PER_MESSAGE) {
      this.bus.publish(LiveRunEvents, [runId], { runId, events: events.slice(start, start + EVENTS_PER_MESSAGE) });
    }
  }
}
