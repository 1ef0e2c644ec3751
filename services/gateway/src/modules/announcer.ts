import type { RunEvent, RunId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { CoordinatorWake, LiveRunEvents } from '@roentgen/protocol';
import type { RunEventFeed } from './training-run/run-event-feed.js';

export type WakeReason = 'run-queued' | 'run-control' | 'chunks-created';

/** Tells the others what was committed. Postgres has it already: a message that does not arrive costs a second, so no failure here fails a request. */
export class Announcer {
  constructor(
    private readonly bus: Bus,
    private readonly feed: RunEventFeed,
    private readonly logger: Logger,
  ) {}

  /** @param runId the run that it is about: what is done for it is a part of the present trace */
  wake(reason: WakeReason, runId: RunId | null = null): void {
    this.quietly('wake', () => this.bus.publish(CoordinatorWake, [], { reason, runId }));
  }

  /** Events that were committed just now. */
  live(runId: RunId, events: readonly RunEvent[]): void {
    if (events.length === 0) return;
    this.feed.publish(runId, events);
    this.quietly('live events', () => this.bus.publish(LiveRunEvents, [runId], { runId, events: [...events] }));
  }

  private quietly(what: string, send: () => void): void {
    try {
      send();
    } catch (err) {
      this.logger.warn({ err }, `${what} could not be announced`);
    }
  }
}
