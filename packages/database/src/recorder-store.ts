import { uuidOf, type Metric, type RunId } from '@roentgen/domain';
import type { Queryable } from './database.js';

export interface MetricPoint extends Metric {
  readonly step: number;
  readonly epoch: number | null;
  readonly occurredAt: string;
}

/** What events of an attempt mean for the tables that are read: all in the recorder's transaction. */
export class RecorderStore {
  /** The last value of a (name, step) wins: a resumed attempt repeats the steps after its checkpoint. */
  async upsertMetrics(tx: Queryable, runId: RunId, points: readonly MetricPoint[]): Promise<void> {
    if (points.length === 0) return;
    const latest = [...new Map(points.map((point) => [`${point.name}\n${point.step}`, point])).values()];
    await tx.query(
      'upsert_metrics',
      `insert into metrics (run_id, name, step, epoch, value, kind, occurred_at)
       select $1, m.name, m.step, m.epoch, m.value, m.kind, m.occurred_at
         from unnest($2::text[], $3::bigint[], $4::integer[], $5::float8[], $6::text[], $7::timestamptz[]) as m (name, step, epoch, value, kind, occurred_at)
       on conflict (run_id, name, step) do update
          set epoch = excluded.epoch, value = excluded.value, kind = excluded.kind, occurred_at = excluded.occurred_at`,
      [
        uuidOf(runId),
        latest.map((p) => p.name),
        latest.map((p) => p.step),
        latest.map((p) => p.epoch),
        latest.map((p) => p.value),
        latest.map((p) => p.kind),
        latest.map((p) => p.occurredAt),
      ],
    );
  }

  /** Where the run's attempt stands: a lower bound of what is committed. Goes back when a resumed attempt does. */
  async advance(tx: Queryable, runId: RunId, progress: { step: number; epoch: number | null; totalSteps: number | null }): Promise<void> {
    await tx.query(
      'advance_run',
      `update training_runs set committed_step = $2, epoch = coalesce($3, epoch), total_steps = coalesce($4, total_steps) where id = $1`,
      [uuidOf(runId), progress.step, progress.epoch, progress.totalSteps],
    );
  }
}
