import { z } from 'zod';
import { JANITOR_FINDING_KINDS, idColumn, uuidOf, type JanitorFindingKind, type JanitorPassId, type ProjectId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

/** An object that is to go. */
export interface NewRemoval {
  readonly key: string;
  /** Null: of no project that is known. */
  readonly projectId: ProjectId | null;
  readonly kind: JanitorFindingKind;
  readonly reason: string;
  readonly bytes: number | null;
}

const RemovalRow = z
  .object({
    object_key: z.string(),
    project_id: idColumn('prj').nullable(),
    kind: z.enum(JANITOR_FINDING_KINDS),
    reason: z.string(),
    bytes: z.number().nullable(),
    state: z.enum(['NOTED', 'REMOVING', 'REMOVED']),
    noted_at: z.string(),
    due_at: z.string(),
  })
  .transform((row) => ({
    key: row.object_key,
    projectId: row.project_id,
    kind: row.kind,
    reason: row.reason,
    bytes: row.bytes,
    state: row.state,
    notedAt: row.noted_at,
    dueAt: row.due_at,
  }));
export type RemovalRecord = z.infer<typeof RemovalRow>;

const COLUMNS = 'object_key, project_id, kind, reason, bytes, state, noted_at, due_at';
const KeyRow = z.object({ object_key: z.string() });
const keysOf = (rows: unknown[]) =>
  KeyRow.array()
    .parse(rows)
    .map((row) => row.object_key);

/** Objects on their way out of the store, and the record of those that are; who writes to it in which order stands in its migration. */
export class ObjectRemovalStore {
  constructor(private readonly db: Database) {}

  /**
   * To be asked in the transaction that is about to refer to these objects, before it does. Returns those that were removed once: the caller looks whether
   * they are in the store again, and gives up where they are not.
   * @throws ObjectInRemovalError when one is being removed, or was a moment ago
   */
  async claim(tx: Queryable, keys: readonly string[]): Promise<string[]> {
    return keysOf(await tx.query('claim_object_keys', 'select claim_object_keys as object_key from claim_object_keys($1::text[])', [keys]));
  }

  /** Notes objects that are to go in so many ms; one that is noted already stays as it is. */
  async note(tx: Queryable, passId: JanitorPassId, removals: readonly NewRemoval[], dueInMs: number): Promise<void> {
    await tx.query(
      'note_object_removals',
      `insert into object_removals (object_key, project_id, kind, reason, bytes, noted_by, due_at)
       select n.object_key, n.project_id, n.kind, n.reason, n.bytes, $1, now() + $2 * interval '1 millisecond'
         from unnest($3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[]) as n (object_key, project_id, kind, reason, bytes)
        order by n.object_key
       on conflict (object_key) do update
          set project_id = excluded.project_id, kind = excluded.kind, reason = excluded.reason, bytes = excluded.bytes, state = 'NOTED',
              noted_by = excluded.noted_by, noted_at = excluded.noted_at, due_at = excluded.due_at, removing_at = null, removed_at = null
        where object_removals.state = 'REMOVED'`,
      [
        uuidOf(passId),
        dueInMs,
        removals.map((removal) => removal.key),
        removals.map(({ projectId }) => (projectId === null ? null : uuidOf(projectId))),
        removals.map((removal) => removal.kind),
        removals.map((removal) => removal.reason),
        removals.map((removal) => removal.bytes),
      ],
    );
  }

  /** What is noted of these, in no order. */
  async find(keys: readonly string[]): Promise<RemovalRecord[]> {
    const rows = await this.db.query('find_object_removals', `select ${COLUMNS} from object_removals where object_key = any ($1::text[])`, [
      keys,
    ]);
    return RemovalRow.array().parse(rows);
  }

  /** Objects whose time has come, in the order of their keys: noted ones, and those whose removal was begun and not seen through. */
  async due(projectId: ProjectId | null, afterKey: string, limit: number): Promise<RemovalRecord[]> {
    const rows = await this.db.query(
      'due_object_removals',
      `select ${COLUMNS} from object_removals
        where state <> 'REMOVED' and due_at <= now() and object_key > $2 collate "C" and ($1::uuid is null or project_id = $1)
        order by object_key collate "C"
        limit $3`,
      [projectId === null ? null : uuidOf(projectId), afterKey, limit],
    );
    return RemovalRow.array().parse(rows);
  }

  /** Waits until every transaction that has claimed objects has ended, and keeps others from claiming any until this one has. */
  async lockClaims(tx: Queryable): Promise<void> {
    await tx.query('lock_object_claims', `select pg_advisory_xact_lock(hashtextextended('roentgen-janitor:' || current_schema(), 0))`);
  }

  /** From here on nobody may refer to these any more; those that are no longer on the list are left out. The caller holds the lock of claims. */
  async markRemoving(tx: Queryable, keys: readonly string[]): Promise<string[]> {
    const rows = await tx.query(
      'mark_objects_removing',
      `update object_removals set state = 'REMOVING', removing_at = clock_timestamp()
        where object_key = any ($1::text[]) and state <> 'REMOVED' returning object_key`,
      [keys],
    );
    return keysOf(rows);
  }

  /** Takes off the list what turned out to be referred to. The caller holds the lock of claims. */
  async spare(tx: Queryable, keys: readonly string[]): Promise<void> {
    await tx.query('spare_objects', `delete from object_removals where object_key = any ($1::text[]) and state <> 'REMOVED'`, [keys]);
  }

  async markRemoved(tx: Queryable, keys: readonly string[]): Promise<void> {
    await tx.query(
      'mark_objects_removed',
      `update object_removals set state = 'REMOVED', removed_at = now() where object_key = any ($1::text[]) and state = 'REMOVING'`,
      [keys],
    );
  }

  /** Forgets what was removed that long ago. */
  async forget(afterDays: number): Promise<void> {
    await this.db.query(
      'forget_removed_objects',
      `delete from object_removals where state = 'REMOVED' and removed_at < now() - $1 * interval '1 day'`,
      [afterDays],
    );
  }
}
