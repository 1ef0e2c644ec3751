import { z } from 'zod';
import { METRIC_KINDS, idColumn, uuidOf, type ProjectId, type RunId } from '@roentgen/domain';
import type { Database } from './database.js';

const PointRow = z
  .object({
    run_id: idColumn('run'),
    name: z.string(),
    step: z.number(),
    epoch: z.number().nullable(),
    value: z.number().nullable(),
    kind: z.enum(METRIC_KINDS),
    occurred_at: z.string(),
  })
  .transform(({ run_id: runId, occurred_at: occurredAt, ...row }) => ({ ...row, runId, occurredAt }));
export type MetricPointRecord = z.infer<typeof PointRow>;

const COLUMNS = 'run_id, name, step, epoch, value, kind, occurred_at';

/** The curves of runs; written by the recorder. */
export class MetricStore {
  constructor(private readonly db: Database) {}

  /**
   * The series of a run by name and step. A series of more than `maxPoints` points is cut into that many equal buckets of points, of which the last
   * one stands for all: the end of the curve is always there. Names null: all. At most `limit` points in all are given.
   */
  async series(
    projectId: ProjectId,
    runId: RunId,
    wanted: { readonly names: readonly string[] | null; readonly maxPoints: number; readonly limit: number },
  ): Promise<MetricPointRecord[]> {
    const rows = await this.db.query(
      'metric_series',
      `select distinct on (name, bucket) ${COLUMNS}
         from (select m.*, (row_number() over (partition by name order by step) - 1) * $4 / greatest(count(*) over (partition by name), $4) as bucket
                 from metrics m
                where run_id = (select id from training_runs where project_id = $1 and id = $2) and ($3::text[] is null or name = any ($3))) p
        order by name, bucket, step desc
        limit $5`,
      [uuidOf(projectId), uuidOf(runId), wanted.names, wanted.maxPoints, wanted.limit],
    );
    return PointRow.array().parse(rows);
  }

  /** The last point of every metric of these runs, by run and name. Hops from name to name in the primary key: no series is read through. */
  async latest(projectId: ProjectId, runIds: readonly RunId[]): Promise<MetricPointRecord[]> {
    const rows = await this.db.query(
      'latest_metrics',
      `select l.* from training_runs r
        cross join lateral (
              with recursive names as (
                (select name from metrics where run_id = r.id order by name limit 1)
                union all
                select (select m.name from metrics m where m.run_id = r.id and m.name > n.name order by m.name limit 1) from names n where n.name is not null)
              select p.* from names n
               cross join lateral (select ${COLUMNS} from metrics m where m.run_id = r.id and m.name = n.name order by step desc limit 1) p) l
        where r.project_id = $1 and r.id = any ($2::uuid[])
        order by l.run_id, l.name`,
      [uuidOf(projectId), runIds.map(uuidOf)],
    );
    return PointRow.array().parse(rows);
  }
}
