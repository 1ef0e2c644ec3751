import { z } from 'zod';
import {
  idColumn,
  uuidOf,
  type ChunkId,
  type PredictionJobId,
  type ProjectId,
  type UploadId,
  type WeightSetId,
  type WorkerId,
  newId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

/** As in the table's constraint. */
const CHUNK_KINDS = ['inspect', 'predict', 'import-weights'] as const;

const OpenChunkRow = z.object({ id: idColumn('chk'), kind: z.enum(CHUNK_KINDS), claims: z.number() });
export type OpenChunk = z.infer<typeof OpenChunkRow>;

const ClaimedChunkRow = z
  .object({
    id: idColumn('chk'),
    project_id: idColumn('prj'),
    kind: z.enum(CHUNK_KINDS),
    upload_id: idColumn('upl').nullable(),
    job_id: idColumn('pred').nullable(),
    weight_set_id: idColumn('wts').nullable(),
    first_ordinal: z.number(),
    last_ordinal: z.number(),
  })
  .transform((row) => ({
    chunkId: row.id,
    projectId: row.project_id,
    kind: row.kind,
    uploadId: row.upload_id,
    jobId: row.job_id,
    weightSetId: row.weight_set_id,
    firstOrdinal: row.first_ordinal,
    lastOrdinal: row.last_ordinal,
  }));
/** A chunk as its holder sees it; exactly one of uploadId, jobId and weightSetId is set. */
export type ClaimedChunk = z.infer<typeof ClaimedChunkRow>;

const CHUNK_COLUMNS = 'id, project_id, kind, upload_id, job_id, weight_set_id, first_ordinal, last_ordinal';

/** Small pieces of independent work and who has them. The queue is only a wake-up; a claim and its token live here. */
export class ChunkStore {
  constructor(private readonly db: Database) {}

  /** Cuts the pending files of an upload into chunks. Returns how many; 0 when every file is already known. */
  async createInspectionChunks(tx: Queryable, work: { projectId: ProjectId; uploadId: UploadId; chunkSize: number }): Promise<number> {
    const rows = await tx.query(
      'pending_upload_ranges',
      `select min(ordinal) as first, max(ordinal) as last
         from (select ordinal, (row_number() over (order by ordinal) - 1) / $2 as part from upload_files where upload_id = $1 and status = 'PENDING') p
        group by part order by part`,
      [uuidOf(work.uploadId), work.chunkSize],
    );
    const ranges = z.array(z.object({ first: z.number(), last: z.number() })).parse(rows);
    await this.insert(tx, { projectId: work.projectId, kind: 'inspect', uploadId: uuidOf(work.uploadId), jobId: null }, ranges);
    return ranges.length;
  }

  /** Cuts the images 0 … imageCount − 1 of a prediction job into chunks. Returns how many. */
  async createPredictionChunks(
    tx: Queryable,
    work: { projectId: ProjectId; jobId: PredictionJobId; imageCount: number; chunkSize: number },
  ): Promise<number> {
    const ranges = Array.from({ length: Math.ceil(work.imageCount / work.chunkSize) }, (_, i) => ({
      first: i * work.chunkSize,
      last: Math.min((i + 1) * work.chunkSize, work.imageCount) - 1,
    }));
    await this.insert(tx, { projectId: work.projectId, kind: 'predict', uploadId: null, jobId: uuidOf(work.jobId) }, ranges);
    return ranges.length;
  }

  /** The one chunk of an import of weights. */
  async createImportChunk(tx: Queryable, work: { projectId: ProjectId; weightSetId: WeightSetId }): Promise<void> {
    await tx.query(
      'insert_import_chunk',
      `insert into chunks (id, project_id, kind, weight_set_id, first_ordinal, last_ordinal) values ($1, $2, 'import-weights', $3, 0, 0)`,
      [uuidOf(newId('chk')), uuidOf(work.projectId), uuidOf(work.weightSetId)],
    );
  }

  /**
   * Chunks that should be on the queue: never announced, announced long ago without a claim, or claimed by someone whose lease has run out or who
   * has gone silent (those go back to PENDING here; `lostAfterMs` null: silence tells nothing now). `alive`: workers that the caller hears, whatever
   * the rows say of them, which may lag behind. Marks the chunks as announced now.
   */
  async takeUnannounced(
    reannounceAfterMs: number,
    workers: { readonly lostAfterMs: number | null; readonly alive: readonly WorkerId[] },
    limit: number,
  ): Promise<OpenChunk[]> {
    const rows = await this.db.query(
      'take_unannounced_chunks',
      `update chunks set status = 'PENDING', token = null, lease_until = null, announced_at = now()
        where id in (select id from chunks
                      where (status = 'PENDING' and (announced_at is null or announced_at < now() - $1 * interval '1 millisecond'))
                         or (status = 'CLAIMED' and lease_until < now())
                         or (status = 'CLAIMED' and worker_id <> all ($4::uuid[])
                             and exists (select 1 from workers w where w.id = worker_id and w.last_seen_at < now() - $3::bigint * interval '1 millisecond'))
                      order by created_at, id
                      for update skip locked
                      limit $2)
       returning id, kind, claims`,
      [reannounceAfterMs, limit, workers.lostAfterMs, workers.alive.map(uuidOf)],
    );
    return OpenChunkRow.array().parse(rows);
  }

  /** Takes back what takeUnannounced said of these: they could not be put on the queue. */
  async unannounce(chunkIds: readonly ChunkId[]): Promise<void> {
    await this.db.query('unannounce_chunks', `update chunks set announced_at = null where id = any ($1::uuid[]) and status = 'PENDING'`, [
      chunkIds.map(uuidOf),
    ]);
  }

  /** Prolongs the leases of chunks whose workers say that they work on them, where more than half is over; another token's lease is left alone. */
  async renew(held: readonly { readonly chunkId: ChunkId; readonly token: string }[], leaseMs: number): Promise<void> {
    if (held.length === 0) return;
    await this.db.query(
      'renew_chunk_leases',
      `update chunks c set lease_until = now() + $3 * interval '1 millisecond'
         from unnest($1::uuid[], $2::uuid[]) as h (id, token)
        where c.id = h.id and c.token = h.token and c.status = 'CLAIMED' and c.lease_until < now() + $3 * interval '0.5 millisecond'`,
      [held.map((h) => uuidOf(h.chunkId)), held.map((h) => h.token), leaseMs],
    );
  }

  /** Gives the chunk to a worker; null when it is done or somebody's. */
  async claim(chunkId: ChunkId, workerId: WorkerId, token: string, leaseMs: number): Promise<ClaimedChunk | null> {
    const rows = await this.db.query(
      'claim_chunk',
      `update chunks set status = 'CLAIMED', token = $3, worker_id = $2, lease_until = now() + $4 * interval '1 millisecond', claims = claims + 1
        where id = $1 and (status = 'PENDING' or (status = 'CLAIMED' and lease_until < now()))
       returning ${CHUNK_COLUMNS}`,
      [uuidOf(chunkId), uuidOf(workerId), token, leaseMs],
    );
    return ClaimedChunkRow.nullable().parse(rows[0] ?? null);
  }

  /** Ends a chunk that is held with this token, in the caller's transaction; null when the token is no longer the chunk's. */
  async finish(
    tx: Queryable,
    chunkId: ChunkId,
    token: string,
    failure: { code: string; message: string } | null,
  ): Promise<ClaimedChunk | null> {
    const rows = await tx.query(
      'finish_chunk',
      `update chunks set status = $3, token = null, lease_until = null, finished_at = now(), error_code = $4, error_message = $5
        where id = $1 and status = 'CLAIMED' and token = $2
       returning ${CHUNK_COLUMNS}`,
      [uuidOf(chunkId), token, failure === null ? 'DONE' : 'FAILED', failure?.code ?? null, failure?.message ?? null],
    );
    return ClaimedChunkRow.nullable().parse(rows[0] ?? null);
  }

  /** Puts a chunk back for another try; false when it has had `maxClaims`, or the token is no longer its own. */
  async giveBack(chunkId: ChunkId, token: string, maxClaims: number): Promise<boolean> {
    const rows = await this.db.query(
      'give_back_chunk',
      `update chunks set status = 'PENDING', token = null, lease_until = null, announced_at = null
        where id = $1 and status = 'CLAIMED' and token = $2 and claims < $3 returning id`,
      [uuidOf(chunkId), token, maxClaims],
    );
    return rows.length > 0;
  }

  /** Puts a chunk back to be announced again in a while; the try does not count. False when the token is no longer its own. */
  async postpone(chunkId: ChunkId, token: string): Promise<boolean> {
    const rows = await this.db.query(
      'postpone_chunk',
      `update chunks set status = 'PENDING', token = null, lease_until = null, announced_at = now(), claims = greatest(0, claims - 1)
        where id = $1 and status = 'CLAIMED' and token = $2 returning id`,
      [uuidOf(chunkId), token],
    );
    return rows.length > 0;
  }

  /** Ends a chunk that nobody has and that was claimed too often; null when somebody has it by now, or it has ended. */
  async giveUp(tx: Queryable, chunkId: ChunkId, failure: { code: string; message: string }): Promise<ClaimedChunk | null> {
    const rows = await tx.query(
      'give_up_chunk',
      `update chunks set status = 'FAILED', finished_at = now(), error_code = $2, error_message = $3
        where id = $1 and status = 'PENDING' returning ${CHUNK_COLUMNS}`,
      [uuidOf(chunkId), failure.code, failure.message],
    );
    return ClaimedChunkRow.nullable().parse(rows[0] ?? null);
  }

  private async insert(
    tx: Queryable,
    work: { projectId: ProjectId; kind: 'inspect' | 'predict'; uploadId: string | null; jobId: string | null },
    ranges: readonly { first: number; last: number }[],
  ): Promise<void> {
    if (ranges.length === 0) return;
    await tx.query(
      'insert_chunks',
      `insert into chunks (id, project_id, kind, upload_id, job_id, first_ordinal, last_ordinal)
       select c.id, $2, $3, $4, $5, c.first, c.last from unnest($1::uuid[], $6::integer[], $7::integer[]) as c (id, first, last)`,
      [
        ranges.map(() => uuidOf(newId('chk'))),
        uuidOf(work.projectId),
        work.kind,
        work.uploadId,
        work.jobId,
        ranges.map((r) => r.first),
        ranges.map((r) => r.last),
      ],
    );
  }
}
