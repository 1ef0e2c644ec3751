import { z } from 'zod';
import {
  JANITOR_ACTIONS,
  JANITOR_FINDING_KINDS,
  JANITOR_MODES,
  JANITOR_PASS_STATUSES,
  idColumn,
  newId,
  uuidOf,
  type CoordinatorId,
  type JanitorFinding,
  type JanitorMode,
  type JanitorPassId,
  type ProjectId,
  type TokenId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { ordinalKey, ordinalPage, timeKey, timePage, type Page, type PageRequest } from './page.js';

const PassRow = z
  .object({
    id: idColumn('jan'),
    mode: z.enum(JANITOR_MODES),
    status: z.enum(JANITOR_PASS_STATUSES),
    truncated: z.boolean(),
    error_message: z.string().nullable(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    mode: row.mode,
    status: row.status,
    truncated: row.truncated,
    errorMessage: row.error_message,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  }));
export type JanitorPassRecord = z.infer<typeof PassRow>;

const HeldRow = z
  .object({
    id: idColumn('jan'),
    project_id: idColumn('prj').nullable(),
    mode: z.enum(JANITOR_MODES),
    phase: z.string().nullable(),
    after: z.string(),
    generation: z.number(),
    lease_holder: z.custom<CoordinatorId>((value) => typeof value === 'string'),
  })
  .transform((row) => ({
    passId: row.id,
    projectId: row.project_id,
    mode: row.mode,
    phase: row.phase,
    after: row.after,
    generation: row.generation,
    holder: row.lease_holder,
  }));
/** A pass as the coordinator that makes it sees it. `projectId` null: the whole installation. `phase`, `after`: where it goes on. */
export type HeldPass = z.infer<typeof HeldRow>;

const FindingRow = z.object({
  ordinal: z.number(),
  object_key: z.string(),
  kind: z.enum(JANITOR_FINDING_KINDS),
  action: z.enum(JANITOR_ACTIONS),
  bytes: z.number().nullable(),
  reason: z.string(),
});

const TotalRow = z
  .object({
    pass_id: idColumn('jan'),
    kind: z.enum(JANITOR_FINDING_KINDS),
    action: z.enum(JANITOR_ACTIONS),
    count: z.number(),
    bytes: z.coerce.number(),
  })
  .transform(({ pass_id: passId, ...row }) => ({ ...row, passId }));
/** How many findings of a kind are to be treated in that way, and the bytes of those whose size is known. */
export type JanitorTotal = z.infer<typeof TotalRow>;

const COLUMNS = 'id, mode, status, truncated, error_message, created_at, started_at, finished_at';

/** Passes of the janitor: who makes one, how far it is, and what it found. */
export class JanitorPassStore {
  constructor(private readonly db: Database) {}

  async request(tx: Queryable, pass: { id: JanitorPassId; projectId: ProjectId; requestedBy: TokenId; mode: JanitorMode }): Promise<void> {
    await tx.query('request_janitor_pass', 'insert into janitor_passes (id, project_id, requested_by, mode) values ($1, $2, $3, $4)', [
      uuidOf(pass.id),
      uuidOf(pass.projectId),
      uuidOf(pass.requestedBy),
      pass.mode,
    ]);
  }

  /** Begins a pass over everything, unless one was begun within the interval; safe with any number of coordinators. */
  async beginAutomatic(mode: JanitorMode, intervalMs: number): Promise<void> {
    await this.db.transaction('begin_janitor_pass', async (tx) => {
      await lockPasses(tx);
      await tx.query(
        'begin_janitor_pass',
        `insert into janitor_passes (id, mode)
         select $1, $2 where not exists (
                select from janitor_passes
                 where project_id is null and (finished_at is null or created_at > now() - $3 * interval '1 millisecond'))`,
        [uuidOf(newId('jan')), mode, intervalMs],
      );
    });
  }

  /** The pass that is to be gone on with, else the oldest that waits; null while another coordinator is at one. Raises its generation. */
  async claim(holder: CoordinatorId, leaseMs: number): Promise<HeldPass | null> {
    return await this.db.transaction('claim_janitor_pass', async (tx) => {
      await lockPasses(tx);
      const rows = await tx.query(
        'claim_janitor_pass',
        `update janitor_passes
            set status = 'RUNNING', lease_holder = $1, lease_until = now() + $2 * interval '1 millisecond', generation = generation + 1,
                started_at = coalesce(started_at, now())
          where id = (select id from janitor_passes p
                       where p.status in ('QUEUED', 'RUNNING')
                         and not exists (select from janitor_passes o where o.status = 'RUNNING' and o.lease_until >= now() and o.lease_holder <> $1)
                       order by p.status = 'RUNNING' desc, p.created_at, p.id
                       limit 1)
         returning id, project_id, mode, phase, after, generation, lease_holder`,
        [holder, leaseMs],
      );
      return HeldRow.nullable().parse(rows[0] ?? null);
    });
  }

  /**
   * Whether the pass is still this coordinator's; its row stays locked until the end of the transaction, so that it remains so. Comes first in every
   * transaction of a pass that writes.
   */
  async hold(tx: Queryable, { passId, holder, generation }: HeldPass): Promise<boolean> {
    const rows = await tx.query(
      'hold_janitor_pass',
      `select id from janitor_passes where id = $1 and lease_holder = $2 and generation = $3 and status = 'RUNNING' for update`,
      [uuidOf(passId), holder, generation],
    );
    return rows.length > 0;
  }

  /** Notes how far the pass is, and prolongs the lease; the caller holds it. */
  async advance(tx: Queryable, passId: JanitorPassId, at: { phase: string; after: string; leaseMs: number }): Promise<void> {
    await tx.query(
      'advance_janitor_pass',
      `update janitor_passes set phase = $2, after = $3, lease_until = now() + $4 * interval '1 millisecond' where id = $1`,
      [uuidOf(passId), at.phase, at.after, at.leaseMs],
    );
  }

  /** Ends the pass; the caller holds it. */
  async finish(tx: Queryable, passId: JanitorPassId, end: { truncated: boolean; errorMessage: string | null }): Promise<void> {
    await tx.query(
      'finish_janitor_pass',
      `update janitor_passes
          set status = case when $3::text is null then 'SUCCEEDED' else 'FAILED' end, truncated = $2, error_message = $3, finished_at = now(),
              lease_holder = null, lease_until = null
        where id = $1`,
      [uuidOf(passId), end.truncated, end.errorMessage],
    );
  }

  /** Lets another coordinator go on at once. */
  async release(holder: CoordinatorId): Promise<void> {
    await this.db.query(
      'release_janitor_pass',
      `update janitor_passes set lease_until = now() - interval '1 second' where lease_holder = $1 and status = 'RUNNING'`,
      [holder],
    );
  }

  /** Adds findings; of a key that was found before, only what became of it can change. Returns how many the pass has. */
  async addFindings(tx: Queryable, passId: JanitorPassId, findings: readonly JanitorFinding[]): Promise<number> {
    const once = [...new Map(findings.map((finding) => [finding.key, finding])).values()];
    await tx.query(
      'add_janitor_findings',
      `insert into janitor_findings (pass_id, object_key, kind, action, bytes, reason)
       select $1, f.object_key, f.kind, f.action, f.bytes, f.reason
         from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
              with ordinality as f (object_key, kind, action, bytes, reason, place)
        order by f.place
       on conflict (pass_id, object_key) do update
          set action = excluded.action, bytes = coalesce(excluded.bytes, janitor_findings.bytes)
        where excluded.action = 'REMOVED'`,
      [
        uuidOf(passId),
        once.map((finding) => finding.key),
        once.map((finding) => finding.kind),
        once.map((finding) => finding.action),
        once.map((finding) => finding.bytes),
        once.map((finding) => finding.reason),
      ],
    );
    const rows = await tx.query('count_janitor_findings', 'select count(*) as count from janitor_findings where pass_id = $1', [
      uuidOf(passId),
    ]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /**
   * Where in the store the newest pass over everything stopped because it had found too much: the last key of what it left there. Empty where it saw
   * the whole store, or left nothing.
   */
  async leftOffAt(): Promise<string> {
    const rows = await this.db.query(
      'janitor_left_off_at',
      `select coalesce(max(f.object_key collate "C"), '') as key
         from (select id, truncated from janitor_passes
                where project_id is null and status = 'SUCCEEDED' order by created_at desc, id desc limit 1) p
         join janitor_findings f on f.pass_id = p.id
        where p.truncated and f.kind in ('ORPHAN', 'SPENT_UPLOAD', 'FOREIGN') and f.action <> 'REMOVED'`,
    );
    return z.object({ key: z.string() }).parse(rows[0]).key;
  }

  async find(projectId: ProjectId, id: JanitorPassId): Promise<JanitorPassRecord | null> {
    const rows = await this.db.query('find_janitor_pass', `select ${COLUMNS} from janitor_passes where project_id = $1 and id = $2`, [
      uuidOf(projectId),
      uuidOf(id),
    ]);
    return PassRow.nullable().parse(rows[0] ?? null);
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<JanitorPassRecord>> {
    const rows = await this.db.query(
      'list_janitor_passes',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from janitor_passes
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => PassRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_janitor_passes', 'select count(*) as count from janitor_passes where project_id = $1', [
      uuidOf(projectId),
    ]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** By kind and action. */
  async totals(passIds: readonly JanitorPassId[]): Promise<JanitorTotal[]> {
    const rows = await this.db.query(
      'janitor_totals',
      `select pass_id, kind, action, count(*) as count, coalesce(sum(bytes), 0) as bytes
         from janitor_findings where pass_id = any ($1::uuid[])
        group by pass_id, kind, action order by pass_id, kind, action`,
      [passIds.map(uuidOf)],
    );
    return TotalRow.array().parse(rows);
  }

  /** In the order in which they were found. */
  async findings(id: JanitorPassId, page: PageRequest): Promise<Page<JanitorFinding>> {
    const rows = await this.db.query(
      'list_janitor_findings',
      `select ordinal, object_key, kind, action, bytes, reason from janitor_findings
        where pass_id = $1 and ordinal > $2 order by ordinal limit $3`,
      [uuidOf(id), ordinalKey(page), page.limit + 1],
    );
    return ordinalPage(rows, page.limit, (row) => {
      const { object_key: key, kind, action, bytes, reason } = FindingRow.parse(row);
      return { key, kind, action, bytes, reason };
    });
  }

  /** Forgets passes that ended that long ago, with their findings. */
  async forget(afterDays: number): Promise<void> {
    await this.db.query('forget_janitor_passes', `delete from janitor_passes where finished_at < now() - $1 * interval '1 day'`, [
      afterDays,
    ]);
  }
}

/** Of two coordinators that claim or begin one at once, one waits. */
async function lockPasses(tx: Queryable): Promise<void> {
  await tx.query(
    'lock_janitor_passes',
    `select pg_advisory_xact_lock(hashtextextended('roentgen-janitor-passes:' || current_schema(), 0))`,
  );
}
