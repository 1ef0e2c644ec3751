import { ConflictError, StaleTokenError, type RunEvent, type RunId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { RecordEvents } from '@roentgen/protocol';
import type { z } from 'zod';
import type { RunBook } from '../runs/run-book.js';
import type { LivePublisher } from './live-publisher.js';

type Batch = z.infer<typeof RecordEvents.schema>;

interface Parts {
  readonly runs: Pick<RunBook, 'report'>;
  readonly live: Pick<LivePublisher, 'publish'>;
  readonly logger: Logger;
}

/** Writes what workers report, and what follows from it, in one transaction; then tells the gateways. */
export class Recorder {
  constructor(private readonly parts: Parts) {}

  /**
   * Records a batch once, however often it comes.
   * @throws StaleTokenError when the attempt has ended or belongs to another, and the batch holds anything that is not recorded yet;
   * ConflictError when it says something that cannot be: nothing of it is recorded then
   */
  async record(batch: Batch): Promise<{ recorded: number }> {
    const { decision, events } = await this.parts.runs.report(batch);
    if (!decision.ok) {
      const about = { attemptId: batch.attemptId, runId: batch.runId };
      throw decision.reason === 'STALE' ? new StaleTokenError(decision.message, about) : new ConflictError(decision.message, about);
    }
    this.parts.live.publish(events);
    for (const event of events) this.logEnd(batch.runId, event);
    return { recorded: batch.events.length };
  }

  private logEnd(runId: RunId, event: RunEvent): void {
    if (event.status === 'SUCCEEDED' || event.status === 'FAILED' || event.status === 'CANCELLED') {
      this.parts.logger.info(
        { runId, attemptId: event.attemptId, outcome: event.status, step: event.step, failure: event.failure?.code },
        'run ended',
      );
    }
  }
}
