import { newId, uuidOf, type AttemptId, type Metric, type RunId, type SavedCheckpoint } from '@roentgen/domain';
import type { Queryable } from './database.js';

export interface AttemptFence {
  readonly runId: RunId;
  readonly attemptId: AttemptId;
  readonly generation: number;
  readonly token: string;
}

export interface MetricPoint extends Metric {
  readonly step: number;
  readonly epoch: number | null;
  readonly occurredAt: string;
}

/** What events of an attempt mean for the tables that are read: all in the recorder's transaction. */
export class RecorderStore {
  /**
   * Whether this is the run's living attempt and the token its own: every write of a worker asks first. The caller holds the lock of the run's row
   * (RunLeaseStore.lockRun), under which alone attempts begin and end, so the answer stays true until the commit.
   */
  async isAlive(tx: Queryable, fence: AttemptFence): Promise<boolean> {
    const rows = await tx.query(
      'attempt_alive',
      'select id from attempts where id = $1 and run_id = $2 and generation = $3 and token = $4 and ended_at is null',
      [uuidOf(fence.attemptId), uuidOf(fence.runId), fence.generation, fence.token],
    );
    return rows.length === 1;
  }

  async markAttemptRunning(tx: Queryable, attemptId: AttemptId): Promise<void> {
    await tx.query('attempt_running', `update attempts set status = 'RUNNING' where id = $1 and status = 'OFFERED'`, [uuidOf(attemptId)]);
  }

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

  /** Makes a checkpoint the one that the run goes on from. A repeated step (after a resume) replaces the pointer of the earlier one. */
  async addCheckpoint(tx: Queryable, runId: RunId, attemptId: AttemptId, checkpoint: SavedCheckpoint): Promise<void> {
    await tx.query(
      'add_checkpoint',
      `with added as (
         insert into checkpoints (id, project_id, run_id, attempt_id, epoch, step, object_key, sha256, bytes)
         select $1, r.project_id, r.id, $3, $4, $5, $6, decode($7, 'hex'), $8 from training_runs r where r.id = $2
         on conflict (run_id, step) do update
            set attempt_id = excluded.attempt_id, object_key = excluded.object_key, sha256 = excluded.sha256, bytes = excluded.bytes
         returning id)
       update training_runs set checkpoint_id = (select id from added) where id = $2`,
      [
        uuidOf(checkpoint.checkpointId),
        uuidOf(runId),
        uuidOf(attemptId),
        checkpoint.epoch,
        checkpoint.step,
        checkpoint.objectKey,
        checkpoint.sha256,
        checkpoint.bytes,
      ],
    );
  }

  /** The model that a finished run stands for: its last checkpoint. False when the run has none. */
  async addModel(tx: Queryable, runId: RunId): Promise<boolean> {
    const rows = await tx.query(
      'add_model',
      `insert into models (id, project_id, run_id, checkpoint_id, name, variant, classes)
       select $1, r.project_id, r.id, r.checkpoint_id, r.name, r.recipe ->> 'variant', v.classes
         from training_runs r join dataset_versions v on v.id = r.dataset_version_id
        where r.id = $2 and r.checkpoint_id is not null
       returning id`,
      [uuidOf(newId('mdl')), uuidOf(runId)],
    );
    return rows.length > 0;
  }
}
