import { z } from 'zod';
import { FAILURE_CAUSES, RUN_STATUSES, idColumn, uuidOf, type RunId } from '@roentgen/domain';
import type { Database } from './database.js';

const SummaryRow = z
  .object({
    id: idColumn('run'),
    status: z.enum(RUN_STATUSES),
    status_code: z.string().nullable(),
    cause: z.enum(FAILURE_CAUSES).nullable(),
    epoch: z.number(),
    committed_step: z.number(),
    images_per_second: z.number().nullable(),
    queued_seconds: z.number().nullable(),
    duration_seconds: z.number().nullable(),
    attempts: z.number(),
    best_name: z.string().nullable(),
    best_value: z.number().nullable(),
    best_step: z.number().nullable(),
  })
  .transform((row) => ({
    runId: row.id,
    state: row.status,
    /** What ended its last attempt; null unless the run failed. */
    cause: row.status === 'FAILED' ? row.cause : null,
    /** Why it failed or was cancelled, as the run shows it. */
    code: row.status_code,
    epochs: row.epoch,
    steps: row.committed_step,
    /** Of the steps that count, waiting for images included. */
    imagesPerSecond: row.images_per_second,
    /** From its making to its first step; null where it never got there. */
    queuedSeconds: row.queued_seconds,
    /** From its making to its end. */
    durationSeconds: row.duration_seconds,
    /** Those that a worker took. */
    attempts: row.attempts,
    best:
      row.best_name !== null && row.best_value !== null && row.best_step !== null
        ? { metric: row.best_name, value: row.best_value, step: row.best_step }
        : null,
  }));
/** A run in one line. */
export type RunSummary = z.infer<typeof SummaryRow>;

const OpenRunsRow = z.object({ status: z.enum(RUN_STATUSES), count: z.number(), oldest_seconds: z.number() });
export type OpenRuns = z.infer<typeof OpenRunsRow>;

/** What operators ask about runs. */
export class RunSummaryStore {
  constructor(private readonly db: Database) {}

  /** Null when there is no such run. Best is the highest validation AUROC, where there is none (more than two classes) the highest accuracy. */
  async summary(runId: RunId): Promise<RunSummary | null> {
    const [row] = await this.db.query(
      'run_summary',
      // Steps have equally many images, so their common rate is the harmonic mean.
      `select r.id, r.status, r.status_code, r.epoch, r.committed_step,
              extract(epoch from r.started_at - r.created_at)::float8 as queued_seconds,
              extract(epoch from r.finished_at - r.created_at)::float8 as duration_seconds,
              (select count(*) from attempts a where a.run_id = r.id and a.status <> 'REFUSED') as attempts,
              (select a.cause from attempts a where a.run_id = r.id and a.cause is not null order by a.number desc limit 1) as cause,
              (select count(*) / sum(1 / m.value) from metrics m
                where m.run_id = r.id and m.name = 'perf/images-per-second' and m.value > 0) as images_per_second,
              best.name as best_name, best.value as best_value, best.step as best_step
         from training_runs r
         left join lateral (select m.name, m.value, m.step from metrics m
                             where m.run_id = r.id and m.name in ('val/auroc', 'val/accuracy') and m.value is not null
                             order by m.name = 'val/auroc' desc, m.value desc, m.step limit 1) best on true
        where r.id = $1`,
      [uuidOf(runId)],
    );
    return row === undefined ? null : SummaryRow.parse(row);
  }

  /** Runs that somebody has to do something for, by state, with the age of the oldest of each. */
  async openRuns(): Promise<OpenRuns[]> {
    const rows = await this.db.query(
      'open_runs',
      `select status, count(*) as count, extract(epoch from now() - min(created_at))::float8 as oldest_seconds
         from training_runs where status not in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED') group by status`,
    );
    return OpenRunsRow.array().parse(rows);
  }
}
