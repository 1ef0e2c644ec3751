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

  /** Writes down what each file turned out to be; the bytes are in the project's objects by now. */
  async applyInspection(tx: Queryable, projectId: ProjectId, uploadId: UploadId, outcomes: readonly InspectionOutcome[]): Promise<void> {
    for (const { ordinal, image, error } of outcomes) {
      if (image !== null) await this.verifyFile(tx, projectId, uploadId, ordinal, image);
      else
        await this.rejectFile(
          tx,
          uploadId,
          ordinal,
          error ?? { code: 'INSPECTION_FAILED', message: 'The file could not be inspected. Import it again.' },
        );
    }
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

  /** The probabilities of a chunk's images, and the class with the highest (the first of equals). */
  async applyPredictions(
    tx: Queryable,
    jobId: PredictionJobId,
    images: readonly { ordinal: number; probabilities: readonly number[] }[],
  ): Promise<void> {
    for (const { ordinal, probabilities } of images) {
      await tx.query(
        'apply_prediction',
        `update predictions p
            set probabilities = $3::float8[], predicted_at = now(),
                predicted_label = (select m.classes[$4] from prediction_jobs j join models m on m.id = j.model_id where j.id = p.job_id)
          where p.job_id = $1 and p.ordinal = $2`,
        [uuidOf(jobId), ordinal, probabilities, probabilities.indexOf(Math.max(...probabilities)) + 1],
      );
    }
  }

  async failJob(tx: Queryable, jobId: PredictionJobId, error: { code: string; message: string }): Promise<void> {
    await tx.query(
      'fail_prediction_job',
      `update prediction_jobs set status = 'FAILED', status_code = $2, status_message = $3, finished_at = now() where id = $1 and status in ('QUEUED', 'RUNNING')`,
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

  private async verifyFile(tx: Queryable, projectId: ProjectId, uploadId: UploadId, ordinal: number, image: InspectedImage): Promise<void> {
    await tx.query(
      'insert_object',
      `insert into objects (project_id, sha256, bytes, format, width_px, height_px, channels)
       values ($1, decode($2, 'hex'), $3, $4, $5, $6, $7) on conflict (project_id, sha256) do nothing`,
      [uuidOf(projectId), image.sha256, image.bytes, image.format, image.widthPx, image.heightPx, image.channels],
    );
    await tx.query(
      'verify_upload_file',
      `update upload_files set status = 'VERIFIED', sha256 = decode($3, 'hex') where upload_id = $1 and ordinal = $2 and status = 'PENDING'`,
      [uuidOf(uploadId), ordinal, image.sha256],
    );
  }

  private async rejectFile(tx: Queryable, uploadId: UploadId, ordinal: number, error: { code: string; message: string }): Promise<void> {
    await tx.query(
      'reject_upload_file',
      `update upload_files set status = 'REJECTED', error_code = $3, error_message = $4 where upload_id = $1 and ordinal = $2 and status = 'PENDING'`,
      [uuidOf(uploadId), ordinal, error.code, error.message],
    );
  }
}
