import { z } from 'zod';
import { idColumn, uuidOf, type CheckpointId, type ProjectId, type RunId, type UploadId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

const CheckpointRow = z
  .object({
    id: idColumn('ckp'),
    step: z.number(),
    object_key: z.string(),
    bytes: z.number(),
    validation_loss: z.number().nullable(),
    needed: z.boolean(),
  })
  .transform((row) => ({
    checkpointId: row.id,
    step: row.step,
    objectKey: row.object_key,
    bytes: row.bytes,
    validationLoss: row.validation_loss,
    needed: row.needed,
  }));
/** `validationLoss`: at its step; null where it was not evaluated, or is not finite. `needed`: its run goes on from it, or a worker is about to. */
export type StoredCheckpoint = z.infer<typeof CheckpointRow>;

const UnusedImageRow = z
  .object({ project_id: idColumn('prj'), sha256: z.string(), bytes: z.number() })
  .transform((row) => ({ projectId: row.project_id, sha256: row.sha256, bytes: row.bytes }));
/** A verified image that nothing refers to any more. */
export type UnusedImage = z.infer<typeof UnusedImageRow>;

const scope = (projectId: ProjectId | null) => (projectId === null ? null : uuidOf(projectId));

/** A condition on uploads u: past their time, with no work under way on them, and nothing made of them. */
const EXPIRABLE = `u.expires_at < now() and (u.status = 'OPEN' or u.status = 'READY'
  and not exists (select from dataset_versions v where v.upload_id = u.id) and not exists (select from prediction_jobs j where j.upload_id = u.id)
  and not exists (select from weight_sets w where w.upload_id = u.id))`;

/** What the janitor changes in the rows, and by which of them it decides. Methods with `tx` belong to a transaction that holds the pass. */
export class JanitorWorkStore {
  constructor(private readonly db: Database) {}

  /** Runs with more than so many checkpoints, by id. */
  async runsWithCheckpoints(projectId: ProjectId | null, moreThan: number, afterRun: RunId | null, limit: number): Promise<RunId[]> {
    const rows = await this.db.query(
      'runs_with_many_checkpoints',
      `select run_id from checkpoints
        where ($1::uuid is null or project_id = $1) and ($2::uuid is null or run_id > $2)
        group by run_id having count(*) > $3 order by run_id limit $4`,
      [scope(projectId), afterRun === null ? null : uuidOf(afterRun), moreThan, limit],
    );
    return z
      .array(z.object({ run_id: idColumn('run') }))
      .parse(rows)
      .map((row) => row.run_id);
  }

  /** All checkpoints of a run by step. Locks the run: nobody adds one, or is sent to go on from one, until the transaction ends. */
  async lockCheckpoints(tx: Queryable, runId: RunId): Promise<StoredCheckpoint[]> {
    await tx.query('lock_run', 'select id from training_runs where id = $1 for update', [uuidOf(runId)]);
    const rows = await tx.query(
      'checkpoints_to_judge',
      `select c.id, c.step, c.object_key, c.bytes, m.value as validation_loss,
              c.id is not distinct from r.checkpoint_id
              or exists (select from attempts a where a.run_id = r.id and a.ended_at is null and a.resumed_from = c.id) as needed
         from checkpoints c
         join training_runs r on r.id = c.run_id
         left join metrics m on m.run_id = c.run_id and m.name = 'val/loss' and m.step = c.step
        where c.run_id = $1 order by c.step`,
      [uuidOf(runId)],
    );
    return CheckpointRow.array().parse(rows);
  }

  /** False when a row refers to it, which then stays as it is. */
  async removeCheckpoint(tx: Queryable, id: CheckpointId): Promise<boolean> {
    const rows = await tx.query('remove_checkpoint', 'select remove_unreferenced_checkpoint($1) as removed', [uuidOf(id)]);
    return z.object({ removed: z.boolean() }).parse(rows[0]).removed;
  }

  /** Ends uploads whose time is over and of which nothing was made; returns them. Those that somebody is at are left for later. */
  async expireUploads(tx: Queryable, projectId: ProjectId | null, limit: number): Promise<UploadId[]> {
    const found = await tx.query(
      'lock_expired_uploads',
      `select u.id from uploads u where ($1::uuid is null or u.project_id = $1) and ${EXPIRABLE} order by u.id limit $2 for update skip locked`,
      [scope(projectId), limit],
    );
    const ids = z.array(z.object({ id: z.string() })).parse(found);
    // Looked at again under the lock: something may have been made of one just before.
    const rows = await tx.query(
      'expire_uploads',
      `update uploads u set status = 'EXPIRED' where u.id = any ($1::uuid[]) and ${EXPIRABLE} returning u.id`,
      [ids.map(({ id }) => id)],
    );
    return z
      .array(z.object({ id: idColumn('upl') }))
      .parse(rows)
      .map((row) => row.id);
  }

  /** Images that no sample, no prediction and no upload that has not expired refers to, by project and hash. */
  async unusedImages(tx: Queryable, projectId: ProjectId | null, after: UnusedImage | null, limit: number): Promise<UnusedImage[]> {
    const rows = await tx.query(
      'unused_images',
      `select o.project_id, encode(o.sha256, 'hex') as sha256, o.bytes from objects o
        where ($1::uuid is null or o.project_id = $1)
          and ($2::uuid is null or (o.project_id, o.sha256) > ($2, decode($3, 'hex')))
          and not exists (select from samples s where s.project_id = o.project_id and s.sha256 = o.sha256)
          and not exists (select from predictions p where p.project_id = o.project_id and p.sha256 = o.sha256)
          and not exists (select from upload_files f join uploads u on u.id = f.upload_id
                           where f.project_id = o.project_id and f.sha256 = o.sha256 and u.status <> 'EXPIRED')
        order by o.project_id, o.sha256 limit $4`,
      [scope(projectId), after === null ? null : uuidOf(after.projectId), after?.sha256 ?? null, limit],
    );
    return UnusedImageRow.array().parse(rows);
  }

  /** Drops what expired uploads know of the image, then the image's row; false when another row refers to it. */
  async removeImage(tx: Queryable, { projectId, sha256 }: UnusedImage): Promise<boolean> {
    await tx.query(
      'forget_expired_files',
      `update upload_files f set sha256 = null from uploads u
        where u.id = f.upload_id and u.status = 'EXPIRED' and f.project_id = $1 and f.sha256 = decode($2, 'hex')`,
      [uuidOf(projectId), sha256],
    );
    const rows = await tx.query('remove_image', `select remove_unreferenced_object($1, decode($2, 'hex')) as removed`, [
      uuidOf(projectId),
      sha256,
    ]);
    return z.object({ removed: z.boolean() }).parse(rows[0]).removed;
  }
}
