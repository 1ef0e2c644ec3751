import { z } from 'zod';
import { RunEventSchema, idFromUuid, uuidOf, type RunEvent, type RunEventInput, type RunId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

const RunEventRow = z
  .object({
    run_id: z.string(),
    sequence: z.number(),
    event_id: z.string(),
    kind: z.string(),
    occurred_at: z.string(),
    recorded_at: z.string(),
    attempt_id: z.string().nullable(),
    worker_id: z.string().nullable(),
    epoch: z.number().nullable(),
    step: z.number().nullable(),
    status: z.string().nullable(),
    message: z.string().nullable(),
    payload: z.record(z.string(), z.unknown()),
  })
  .transform((row) =>
    RunEventSchema.parse({
      ...row.payload,
      runId: idFromUuid('run', row.run_id),
      sequence: row.sequence,
      eventId: row.event_id,
      kind: row.kind,
      occurredAt: row.occurred_at,
      recordedAt: row.recorded_at,
      attemptId: row.attempt_id === null ? null : idFromUuid('att', row.attempt_id),
      workerId: row.worker_id === null ? null : idFromUuid('wkr', row.worker_id),
      epoch: row.epoch,
      step: row.step,
      status: row.status,
      message: row.message,
    }),
  );

const HeadRow = z.object({ id: z.string(), head_sequence: z.number() });

/** The log of each run: facts in, numbered rows out. Only Postgres assigns a sequence. */
export class EventStore {
  constructor(private readonly db: Database) {}

  /**
   * Appends facts in the caller's transaction; facts already recorded (same eventId) are skipped. Returns the new rows with their sequences, which
   * become visible, and may be published, after the commit. Locks the run's row until then.
   */
  async append(tx: Queryable, runId: RunId, events: readonly RunEventInput[]): Promise<RunEvent[]> {
    if (events.length === 0) return [];
    const rows = await tx.query('append_run_events', 'select * from append_run_events($1, $2::jsonb) order by sequence', [
      uuidOf(runId),
      toStorableJson(events.map(toRow)),
    ]);
    return RunEventRow.array().parse(rows);
  }

  /** Which of these facts are in the log already. */
  async known(tx: Queryable, runId: RunId, eventIds: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await tx.query('known_events', 'select event_id from run_events where run_id = $1 and event_id = any ($2::text[])', [
      uuidOf(runId),
      eventIds,
    ]);
    return new Set(
      z
        .array(z.object({ event_id: z.string() }))
        .parse(rows)
        .map((row) => row.event_id),
    );
  }

  /** At most `limit` events after a sequence, in order. */
  async readAfter(runId: RunId, afterSequence: number, limit: number): Promise<RunEvent[]> {
    const rows = await this.db.query(
      'read_run_events',
      'select * from run_events where run_id = $1 and sequence > $2 order by sequence limit $3',
      [uuidOf(runId), afterSequence, limit],
    );
    return RunEventRow.array().parse(rows);
  }

  /** The newest sequence of each run, 0 where nothing happened yet; unknown runs are absent. */
  async heads(runIds: readonly RunId[]): Promise<Map<RunId, number>> {
    if (runIds.length === 0) return new Map();
    const rows = await this.db.query('run_heads', 'select id, head_sequence from training_runs where id = any ($1::uuid[])', [
      runIds.map(uuidOf),
    ]);
    return new Map(
      HeadRow.array()
        .parse(rows)
        .map((row) => [idFromUuid('run', row.id), row.head_sequence]),
    );
  }
}

/** A jsonb holds neither NUL nor half a surrogate pair. Messages of failures that quote bytes have both, which must not keep the fact out. */
function toStorableJson(value: unknown): string {
  // JSON.stringify escapes exactly these; every other escape, that of the backslash too, is matched whole and kept.
  return JSON.stringify(value).replace(/\\(?:(u0000|ud[89a-f][0-9a-f]{2})|.)/g, (escape: string, unstorable?: string) =>
    unstorable === undefined ? escape : '\\ufffd',
  );
}

function toRow(event: RunEventInput): Record<string, unknown> {
  return {
    event_id: event.eventId,
    kind: event.kind,
    occurred_at: event.occurredAt,
    attempt_id: event.attemptId === null ? null : uuidOf(event.attemptId),
    worker_id: event.workerId === null ? null : uuidOf(event.workerId),
    epoch: event.epoch,
    step: event.step,
    status: event.status,
    message: event.message,
    payload: { metrics: event.metrics, checkpoint: event.checkpoint, failure: event.failure },
  };
}
