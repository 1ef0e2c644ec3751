import { z } from 'zod';
import { DEVICES, SelftestSummarySchema, idColumn, uuidOf, type ProjectId, type WorkerId, type WorkerMemory } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { timeKey, timePage, type Page, type PageRequest } from './page.js';

/** What a worker can hold. */
export const WORKER_HOLDINGS = ['TRAINING', 'INSPECTION', 'PREDICTION', 'WEIGHTS_IMPORT'] as const;

const nullableId = <P extends 'run' | 'att' | 'chk' | 'upl' | 'pred' | 'wts'>(prefix: P) => idColumn(prefix).nullable();
const HoldingRow = z
  .object({
    kind: z.enum(WORKER_HOLDINGS),
    run_id: nullableId('run'),
    attempt_id: nullableId('att'),
    chunk_id: nullableId('chk'),
    upload_id: nullableId('upl'),
    job_id: nullableId('pred'),
    weight_set_id: nullableId('wts'),
  })
  .transform((row) => ({
    kind: row.kind,
    runId: row.run_id,
    attemptId: row.attempt_id,
    chunkId: row.chunk_id,
    uploadId: row.upload_id,
    predictionJobId: row.job_id,
    weightSetId: row.weight_set_id,
  }));

const WorkerRow = z
  .object({
    id: idColumn('wkr'),
    name: z.string(),
    version: z.string(),
    device: z.enum(DEVICES),
    device_name: z.string(),
    state: z.string(),
    online: z.boolean(),
    run_id: idColumn('run').nullable(),
    resident_bytes: z.number(),
    started_at: z.string(),
    last_seen_at: z.string(),
    memory_budget_bytes: z.number().nullable(),
    intra_op_threads: z.number(),
    inter_op_threads: z.number(),
    xla: z.boolean(),
    deterministic_ops: z.boolean(),
    ineligible_reason: z.string().nullable(),
    selftest: SelftestSummarySchema.nullable(),
    drained_at: z.string().nullable(),
    set_aside_until: z.string().nullable(),
    set_aside_reason: z.string().nullable(),
    attempt_running: z.boolean(),
    queued_runs: z.number(),
    holds: z.array(HoldingRow),
  })
  .transform((row) => ({
    id: row.id,
    name: row.name,
    version: row.version,
    device: row.device,
    deviceName: row.device_name,
    state: row.state,
    online: row.online,
    runId: row.run_id,
    residentBytes: row.resident_bytes,
    startedAt: row.started_at,
    lastSeenAt: row.last_seen_at,
    memoryBudgetBytes: row.memory_budget_bytes,
    intraOpThreads: row.intra_op_threads,
    interOpThreads: row.inter_op_threads,
    xla: row.xla,
    deterministicOps: row.deterministic_ops,
    ineligibleReason: row.ineligible_reason,
    selftest: row.selftest,
    drainedAt: row.drained_at,
    setAsideUntil: row.set_aside_until,
    setAsideReason: row.set_aside_reason,
    attemptRunning: row.attempt_running,
    queuedRuns: row.queued_runs,
    holds: row.holds,
  }));
export type WorkerRecord = z.infer<typeof WorkerRow>;

/** $1: project, $2: ms within which an online worker was heard. */
const SELECT_WORKER = `select w.id, w.name, w.version, w.device, w.device_name, w.state, w.last_seen_at > now() - $2 * interval '1 millisecond' as online,
              r.id as run_id, w.resident_bytes, w.started_at, w.last_seen_at, w.started_at::text as key_at, w.id as key_id,
              w.memory_budget_bytes, w.intra_op_threads, w.inter_op_threads, w.xla, w.deterministic_ops, w.ineligible_reason,
              case when s.worker_id is not null then jsonb_build_object(
                'verdict', s.verdict, 'level', s.level, 'at', to_char(s.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'seconds', s.seconds, 'tensorflowVersion', s.tensorflow_version, 'checks', s.checks, 'speeds', s.speeds) end as selftest,
              w.drained_at, e.until as set_aside_until, e.reason as set_aside_reason,
              exists (select 1 from attempts a where a.worker_id = w.id and a.ended_at is null) as attempt_running,
              (select count(*) from training_runs q where q.status = 'QUEUED' and (q.retry_at is null or q.retry_at <= now())) as queued_runs,
              coalesce(h.holds, '[]') as holds
         from workers w
         left join training_runs r on r.id = w.run_id and r.project_id = $1
         left join worker_selftests s on s.worker_id = w.id
         left join lateral (
           select jsonb_agg(to_jsonb(held) order by held.kind, held.attempt_id, held.chunk_id) as holds
             from (select 'TRAINING' as kind, a.run_id, a.id as attempt_id, null::uuid as chunk_id, null::uuid as upload_id, null::uuid as job_id, null::uuid as weight_set_id
                     from attempts a where a.worker_id = w.id and a.ended_at is null and a.project_id = $1
                   union all
                   select case c.kind when 'inspect' then 'INSPECTION' when 'predict' then 'PREDICTION' else 'WEIGHTS_IMPORT' end,
                          null, null, c.id, c.upload_id, c.job_id, c.weight_set_id
                     from chunks c where c.worker_id = w.id and c.status = 'CLAIMED' and c.project_id = $1) held) h on true
         left join worker_exclusions e on e.worker_name = w.name and e.until > now() and e.readmitted_at is null`;

/** The pool of workers as users read it; written from heartbeats. */
export class WorkerStore {
  constructor(private readonly db: Database) {}

  /** Last started first. Workers serve all projects; which run one works on is told only to the project of that run. */
  async list(projectId: ProjectId, onlineWithinMs: number, page: PageRequest): Promise<Page<WorkerRecord>> {
    const rows = await this.db.query(
      'list_workers',
      `${SELECT_WORKER}
        where $3::timestamptz is null or (w.started_at, w.id) < ($3::timestamptz, $4::uuid)
        order by w.started_at desc, w.id desc
        limit $5`,
      [uuidOf(projectId), onlineWithinMs, ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => WorkerRow.parse(row));
  }

  /** All that were heard within `heardWithinMs`, sorted by name; at most 500, those heard last. */
  async recent(projectId: ProjectId, onlineWithinMs: number, heardWithinMs: number): Promise<WorkerRecord[]> {
    const rows = await this.db.query(
      'recent_workers',
      `${SELECT_WORKER} where w.last_seen_at > now() - $3 * interval '1 millisecond' order by w.last_seen_at desc, w.id desc limit 500`,
      [uuidOf(projectId), onlineWithinMs, heardWithinMs],
    );
    return WorkerRow.array()
      .parse(rows)
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
  }

  /** What fits into the workers that are there and take work. */
  async memories(onlineWithinMs: number): Promise<WorkerMemory[]> {
    const rows = await this.db.query(
      'worker_memories',
      `select memory_budget_bytes as "memoryBudgetBytes", memory_scale as "memoryScale" from workers
        where last_seen_at > now() - $1 * interval '1 millisecond' and ineligible_reason is null and state <> 'STOPPING'`,
      [onlineWithinMs],
    );
    return z.object({ memoryBudgetBytes: z.number().nullable(), memoryScale: z.number() }).array().parse(rows);
  }

  async find(projectId: ProjectId, id: WorkerId, onlineWithinMs: number): Promise<WorkerRecord | null> {
    const rows = await this.db.query('find_worker', `${SELECT_WORKER} where w.id = $3`, [uuidOf(projectId), onlineWithinMs, uuidOf(id)]);
    return WorkerRow.nullable().parse(rows[0] ?? null);
  }

  /** Its name, locked until the end of the transaction; null when there is no such worker. */
  async lock(tx: Queryable, id: WorkerId): Promise<string | null> {
    const rows = await tx.query('lock_worker', 'select name from workers where id = $1 for update', [uuidOf(id)]);
    return (
      z
        .object({ name: z.string() })
        .nullable()
        .parse(rows[0] ?? null)?.name ?? null
    );
  }

  /** Nothing more for it, and what it does goes elsewhere; or, with false, work again. */
  async setDrained(tx: Queryable, id: WorkerId, drained: boolean): Promise<void> {
    await tx.query('drain_worker', `update workers set drained_at = case when $2 then coalesce(drained_at, now()) end where id = $1`, [
      uuidOf(id),
      drained,
    ]);
  }

  async count(): Promise<number> {
    const rows = await this.db.query('count_workers', 'select count(*) as count from workers');
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }
}
