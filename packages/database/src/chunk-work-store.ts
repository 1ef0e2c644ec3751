import { z } from 'zod';
import {
  idColumn,
  uuidOf,
  type CheckpointRef,
  type InspectedImage,
  type PredictionJobId,
  type ProjectId,
  type UploadId,
} from '@roentgen/domain';
import type { ClaimedChunk } from './chunk-store.js';
import type { Database, Queryable } from './database.js';

const PendingFileRow = z
  .object({ ordinal: z.number(), file_name: z.string(), declared_bytes: z.number(), declared_sha256: z.string().nullable() })
  .transform((row) => ({
    ordinal: row.ordinal,
    fileName: row.file_name,
    declaredBytes: row.declared_bytes,
    declaredSha256: row.declared_sha256,
  }));
export type PendingFile = z.infer<typeof PendingFileRow>;

const ImageRow = z
  .object({ ordinal: z.number(), file_name: z.string(), sha256: z.string() })
  .transform((row) => ({ ordinal: row.ordinal, fileName: row.file_name, sha256: row.sha256 }));
export type ImageToPredict = z.infer<typeof ImageRow>;

const CheckpointRow = z
  .object({ id: idColumn('ckp'), object_key: z.string(), sha256: z.string(), bytes: z.number() })
  .transform((row): CheckpointRef => ({ checkpointId: row.id, objectKey: row.object_key, sha256: row.sha256, bytes: row.bytes }));

const FinishableJobRow = z
  .object({
    id: idColumn('pred'),
    project_id: idColumn('prj'),
    model_id: idColumn('mdl'),
    dataset_version_id: idColumn('dsv').nullable(),
    classes: z.array(z.string()),
  })
  .transform((row) => ({
    jobId: row.id,
    projectId: row.project_id,
    modelId: row.model_id,
    datasetVersionId: row.dataset_version_id,
    classes: row.classes,
  }));
/** A prediction job whose chunks are all done. */
export type FinishableJob = z.infer<typeof FinishableJobRow>;

const PredictedRow = z
  .object({ ordinal: z.number(), file_name: z.string(), predicted_label: z.string(), probabilities: z.array(z.number()) })
  .transform((row) => ({
    ordinal: row.ordinal,
    fileName: row.file_name,
    predictedLabel: row.predicted_label,
    probabilities: row.probabilities,
  }));
export type PredictedRow = z.infer<typeof PredictedRow>;

export interface InspectionOutcome {
  readonly ordinal: number;
  readonly image: InspectedImage | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** What a chunk consists of, and what its result changes. Methods with `tx` belong to the transaction that ends the chunk. */
export class ChunkWorkStore {
  constructor(private readonly db: Database) {}

  async pendingFiles(chunk: ClaimedChunk, uploadId: UploadId): Promise<PendingFile[]> {
    const rows = await this.db.query(
      'chunk_pending_files',
      `select ordinal, file_name, declared_bytes, encode(declared_sha256, 'hex') as declared_sha256 from upload_files
        where upload_id = $1 and ordinal between $2 and $3 and status = 'PENDING' order by ordinal`,
      [uuidOf(uploadId), chunk.firstOrdinal, chunk.lastOrdinal],
    );
    return PendingFileRow.array().parse(rows);
  }

  /** The chunk's images and the checkpoint to predict with; marks the job as RUNNING. */
  async predictionWork(chunk: ClaimedChunk, jobId: PredictionJobId): Promise<{ images: ImageToPredict[]; checkpoint: CheckpointRef }> {
    await this.db.query('start_prediction_job', `update prediction_jobs set status = 'RUNNING' where id = $1 and status = 'QUEUED'`, [
      uuidOf(jobId),
    ]);
    const images = await this.db.query(
      'chunk_images',
      `select ordinal, file_name, encode(sha256, 'hex') as sha256 from predictions where job_id = $1 and ordinal between $2 and $3 order by ordinal`,
      [uuidOf(jobId), chunk.firstOrdinal, chunk.lastOrdinal],
    );
    const checkpoint = await this.db.query(
      'job_checkpoint',
      `select c.id, c.object_key, encode(c.sha256, 'hex') as sha256, c.bytes
         from prediction_jobs j join models m on m.id = j.model_id join checkpoints c on c.id = m.checkpoint_id where j.id = $1`,
      [uuidOf(jobId)],
    );
    return { images: ImageRow.array().parse(images), checkpoint: CheckpointRow.parse(checkpoint[0]) };
  }

  /**
   * Writes down what each file of an inspection chunk turned out to be; the bytes are in the project's objects by now. False when it is no inspection
   * chunk, or the outcomes are not about each of its files, once: the caller has to roll back then.
   */
  async applyInspection(tx: Queryable, chunk: ClaimedChunk, outcomes: readonly InspectionOutcome[]): Promise<boolean> {
    if (chunk.uploadId === null) return false;
    await this.addObjects(
      tx,
      chunk.projectId,
      outcomes.flatMap(({ image }) => image ?? []),
    );
    const decided = await tx.query(
      'decide_upload_files',
      `update upload_files f
          set status = case when o.sha256 is null then 'REJECTED' else 'VERIFIED' end,
              sha256 = decode(o.sha256, 'hex'), error_code = o.error_code, error_message = o.error_message
         from unnest($4::integer[], $5::text[], $6::text[], $7::text[]) as o (ordinal, sha256, error_code, error_message)
        where f.upload_id = $1 and f.ordinal = o.ordinal and f.ordinal between $2 and $3 and f.status = 'PENDING'
       returning f.ordinal`,
      [
        uuidOf(chunk.uploadId),
        chunk.firstOrdinal,
        chunk.lastOrdinal,
        outcomes.map((outcome) => outcome.ordinal),
        outcomes.map((outcome) => outcome.image?.sha256 ?? null),
        outcomes.map((outcome) => outcome.error?.code ?? null),
        outcomes.map((outcome) => outcome.error?.message ?? null),
      ],
    );
    const [left] = await tx.query(
      'count_undecided_files',
      `select count(*) as count from upload_files where upload_id = $1 and ordinal between $2 and $3 and status = 'PENDING'`,
      [uuidOf(chunk.uploadId), chunk.firstOrdinal, chunk.lastOrdinal],
    );
    return decided.length === outcomes.length && z.object({ count: z.literal(0) }).safeParse(left).success;
  }

  /** Rejects what the chunk has not decided: its inspection failed for good. */
  async rejectPending(tx: Queryable, chunk: ClaimedChunk, uploadId: UploadId, error: { code: string; message: string }): Promise<void> {
    await tx.query(
      'reject_pending_files',
      `update upload_files set status = 'REJECTED', error_code = $4, error_message = $5
        where upload_id = $1 and ordinal between $2 and $3 and status = 'PENDING'`,
      [uuidOf(uploadId), chunk.firstOrdinal, chunk.lastOrdinal, error.code, error.message],
    );
  }

  /** READY once no chunk of the upload is open. The upload's row is locked first, so that of two last chunks one sees the other. */
  async completeUploadIfDone(tx: Queryable, uploadId: UploadId): Promise<void> {
    await tx.query('lock_upload', 'select id from uploads where id = $1 for update', [uuidOf(uploadId)]);
    await tx.query(
      'complete_upload_if_done',
      `update uploads set status = 'READY'
        where id = $1 and status = 'INSPECTING'
          and not exists (select 1 from chunks where upload_id = $1 and status in ('PENDING', 'CLAIMED'))`,
      [uuidOf(uploadId)],
    );
  }

  /**
   * The probabilities of a prediction chunk's images, and the class with the highest (the first of equals). False when it is no prediction chunk, or they
   * are not about each of its images, once, with one probability per class: the caller has to roll back then.
   * @param engine what computed them, with its version; null where the worker does not say
   */
  async applyPredictions(
    tx: Queryable,
    chunk: ClaimedChunk,
    images: readonly { ordinal: number; probabilities: readonly number[] }[],
    engine: string | null,
  ): Promise<boolean> {
    if (chunk.jobId === null) return false;
    await tx.query('note_chunk_engine', 'update chunks set engine = $2 where id = $1', [uuidOf(chunk.chunkId), engine]);
    const predicted = await tx.query(
      'apply_predictions',
      `update predictions p
          set probabilities = i.probabilities, predicted_at = now(), predicted_label = m.classes[i.best]
         from jsonb_to_recordset($4::jsonb) as i (ordinal integer, best integer, probabilities float8[]), prediction_jobs j
         join models m on m.id = j.model_id
        where p.job_id = $1 and p.ordinal = i.ordinal and p.ordinal between $2 and $3
          and j.id = p.job_id and cardinality(m.classes) = cardinality(i.probabilities)
       returning p.ordinal`,
      [
        uuidOf(chunk.jobId),
        chunk.firstOrdinal,
        chunk.lastOrdinal,
        JSON.stringify(
          images.map(({ ordinal, probabilities }) => ({
            ordinal,
            probabilities,
            best: probabilities.indexOf(Math.max(...probabilities)) + 1,
          })),
        ),
      ],
    );
    return predicted.length === images.length && predicted.length === chunk.lastOrdinal - chunk.firstOrdinal + 1;
  }

  /** Fails a job that has not ended; what of it nobody has begun is not begun any more. */
  async failJob(tx: Queryable, jobId: PredictionJobId, error: { code: string; message: string }): Promise<void> {
    await tx.query(
      'fail_prediction_job',
      `update prediction_jobs set status = 'FAILED', status_code = $2, status_message = $3, finished_at = now() where id = $1 and status in ('QUEUED', 'RUNNING')`,
      [uuidOf(jobId), error.code, error.message],
    );
    await tx.query(
      'drop_pending_chunks',
      `update chunks set status = 'FAILED', error_code = $2, error_message = $3, finished_at = now() where job_id = $1 and status = 'PENDING'`,
      [uuidOf(jobId), error.code, error.message],
    );
  }

  /** Jobs that only lack their CSV. Looking again after a crash finds them again. */
  async finishableJobs(limit: number): Promise<FinishableJob[]> {
    const rows = await this.db.query(
      'finishable_prediction_jobs',
      `select j.id, j.project_id, j.model_id, j.dataset_version_id, m.classes
         from prediction_jobs j join models m on m.id = j.model_id
        where j.status in ('QUEUED', 'RUNNING')
          and not exists (select 1 from chunks c where c.job_id = j.id and c.status in ('PENDING', 'CLAIMED'))
        order by j.created_at, j.id limit $1`,
      [limit],
    );
    return FinishableJobRow.array().parse(rows);
  }

  /** All rows of a finished job after an ordinal, in order. */
  async predictedRows(jobId: PredictionJobId, afterOrdinal: number, limit: number): Promise<PredictedRow[]> {
    const rows = await this.db.query(
      'predicted_rows',
      'select ordinal, file_name, predicted_label, probabilities from predictions where job_id = $1 and ordinal > $2 order by ordinal limit $3',
      [uuidOf(jobId), afterOrdinal, limit],
    );
    return PredictedRow.array().parse(rows);
  }

  async finishJob(jobId: PredictionJobId, csvKey: string): Promise<void> {
    await this.db.query(
      'finish_prediction_job',
      `update prediction_jobs set status = 'SUCCEEDED', csv_key = $2, finished_at = now() where id = $1 and status in ('QUEUED', 'RUNNING')`,
      [uuidOf(jobId), csvKey],
    );
  }

  /** In the order of their hashes, so that two chunks with the same images wait for each other and never both. */
  private async addObjects(tx: Queryable, projectId: ProjectId, images: readonly InspectedImage[]): Promise<void> {
    await tx.query(
      'add_objects',
      `insert into objects (project_id, sha256, bytes, format, width_px, height_px, channels)
       select $1, decode(o.sha256, 'hex'), o.bytes, o.format, o.width_px, o.height_px, o.channels
         from unnest($2::text[], $3::bigint[], $4::text[], $5::integer[], $6::integer[], $7::smallint[])
              as o (sha256, bytes, format, width_px, height_px, channels)
        order by o.sha256
       on conflict (project_id, sha256) do nothing`,
      [
        uuidOf(projectId),
        images.map((image) => image.sha256),
        images.map((image) => image.bytes),
        images.map((image) => image.format),
        images.map((image) => image.widthPx),
        images.map((image) => image.heightPx),
        images.map((image) => image.channels),
      ],
    );
  }
}
