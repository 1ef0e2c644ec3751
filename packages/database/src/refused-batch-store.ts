import { z } from 'zod';
import { uuidOf, type AttemptId } from '@roentgen/domain';
import type { Database } from './database.js';

/** Batches of events that could not be recorded although nothing was away. */
export class RefusedBatchStore {
  constructor(private readonly db: Database) {}

  /** Counts one more failure of the batch that starts with this event, whichever coordinator met it; returns how many there were. */
  async count(attemptId: AttemptId, firstEventId: string, error: string): Promise<number> {
    const rows = await this.db.query(
      'count_refused_batch',
      `insert into refused_batches as b (attempt_id, first_event_id, error_message) values ($1, $2, $3)
       on conflict (attempt_id, first_event_id) do update set tries = b.tries + 1, error_message = excluded.error_message, last_at = now()
       returning tries`,
      [uuidOf(attemptId), firstEventId, error],
    );
    return z.object({ tries: z.number() }).parse(rows[0]).tries;
  }

  /** Keeps the batch as evidence. Text: what could not be stored once may not be storable as JSON either. */
  async keep(attemptId: AttemptId, firstEventId: string, batch: string): Promise<void> {
    await this.db.query('keep_refused_batch', 'update refused_batches set batch = $3 where attempt_id = $1 and first_event_id = $2', [
      uuidOf(attemptId),
      firstEventId,
      Buffer.from(batch, 'utf8'),
    ]);
  }
}
