import type { RefusedBatchStore } from '@roentgen/database';
import { ConflictError, RoentgenError, RunEventInputSchema, StaleTokenError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { RecordEvents } from '@roentgen/protocol';
import type { z } from 'zod';
import type { Outcome, RunBook } from '../runs/run-book.js';
import type { LivePublisher } from './live-publisher.js';

type Batch = z.infer<typeof RecordEvents.schema>;

interface Parts {
  readonly runs: Pick<RunBook, 'report'>;
  readonly live: Pick<LivePublisher, 'publish'>;
  readonly refused: Pick<RefusedBatchStore, 'count' | 'keep'>;
  readonly logger: Logger;
}

/** A batch that nothing was in the way of, and that could not be recorded so often, never will be. */
const TRIES_OF_A_BATCH = 5;
/** Enough of a batch to see what is wrong with it. */
const KEPT_CHARACTERS = 1_000_000;

/** Writes what workers report, and what follows from it, in one transaction; then tells the gateways. */
export class Recorder {
  constructor(private readonly parts: Parts) {}

  /**
   * Records a batch once, however often it comes.
   * @throws StaleTokenError when the attempt has ended or belongs to another, and the batch holds anything that is not recorded yet, or when the database
   * has lost what the worker recorded before, which ends the attempt;
   * ConflictError when it says something that cannot be: nothing of it is recorded then
   */
  async record(batch: Batch): Promise<{ recorded: number }> {
    const { decision, events } = await this.report(batch);
    const about = { attemptId: batch.attemptId, runId: batch.runId };
    if (!decision.ok) {
      throw decision.reason === 'STALE' ? new StaleTokenError(decision.message, about) : new ConflictError(decision.message, about);
    }
    this.parts.live.publish(events);
    if (decision.refused !== undefined) {
      this.parts.logger.error(about, decision.refused);
      throw new StaleTokenError(decision.refused, about);
    }
    return { recorded: batch.events.length };
  }

  /**
   * A batch that cannot be written, although database and broker are there, would be sent for ever and hold its attempt up: in the end the attempt
   * fails with it as evidence. The worker hears that at its next try.
   */
  private async report(batch: Batch): Promise<Outcome> {
    const { runs, refused, logger } = this.parts;
    try {
      return await runs.report(batch);
    } catch (thrown) {
      const error = coerceError(thrown);
      if (error instanceof RoentgenError) throw error;
      const { runId, attemptId, generation, token } = batch;
      const firstEventId = batch.events[0]?.eventId ?? '';
      const tries = await refused.count(attemptId, firstEventId, error.message);
      if (tries < TRIES_OF_A_BATCH) throw error;
      await refused.keep(attemptId, firstEventId, JSON.stringify(batch.events).slice(0, KEPT_CHARACTERS));
      logger.error({ err: error, runId, attemptId, firstEventId, tries }, 'a batch of events cannot be recorded: its attempt fails');
      const message = `${batch.events.length} events from ${firstEventId} on could not be recorded in ${tries} tries: ${error.message}`;
      const failure = { code: 'EVENTS_REFUSED', message, details: { firstEventId, tries } };
      const fact = { eventId: `refused/${firstEventId}`, kind: 'ATTEMPT_FAILED', occurredAt: new Date().toISOString(), message, failure };
      const failed = await runs.report({ runId, attemptId, generation, token, events: [RunEventInputSchema.parse(fact)] });
      this.parts.live.publish(failed.events);
      throw error;
    }
  }
}
