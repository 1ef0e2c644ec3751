import { z } from 'zod';
import {
  JOB_STATUSES,
  SPLITS,
  idColumn,
  uuidOf,
  type DatasetVersionId,
  type ModelId,
  type PredictionJobId,
  type ProjectId,
  type Split,
  type TokenId,
  type UploadId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { ordinalKey, ordinalPage, timeKey, timePage, type Page, type PageRequest } from './page.js';

const JobRow = z
  .object({
    id: idColumn('pred'),
    model_id: idColumn('mdl'),
    dataset_version_id: idColumn('dsv').nullable(),
    split: z.enum(SPLITS).nullable(),
    upload_id: idColumn('upl').nullable(),
    status: z.enum(JOB_STATUSES),
    status_code: z.string().nullable(),
    status_message: z.string().nullable(),
    image_count: z.number(),
    csv_key: z.string().nullable(),
    created_at: z.string(),
    finished_at: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    modelId: row.model_id,
    datasetVersionId: row.dataset_version_id,
    split: row.split,
    uploadId: row.upload_id,
    status: row.status,
    statusCode: row.status_code,
    statusMessage: row.status_message,
    imageCount: row.image_count,
    csvKey: row.csv_key,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
  }));
export type PredictionJobRecord = z.infer<typeof JobRow>;

const PredictionRow = z
  .object({
    ordinal: z.number(),
    file_name: z.string(),
    sha256: z.string(),
    label: z.string().nullable(),
    predicted_label: z.string().nullable(),
    probabilities: z.array(z.number()).nullable(),
    classes: z.array(z.string()),
    predicted_at: z.string().nullable(),
  })
  .transform((row) => ({
    ordinal: row.ordinal,
    fileName: row.file_name,
    sha256: row.sha256,
    label: row.label,
    predictedLabel: row.predicted_label,
    probabilities: (row.probabilities ?? []).map((probability, i) => ({ label: row.classes[i] ?? '', probability })),
    predictedAt: row.predicted_at,
  }));
/** One image of a job; `probabilities` in the order of the model's classes, empty until predicted. */
export type PredictionRecord = z.infer<typeof PredictionRow>;

/** What a job predicts. */
export type PredictionSource =
  | { readonly kind: 'split'; readonly datasetVersionId: DatasetVersionId; readonly split: Split }
  | { readonly kind: 'upload'; readonly uploadId: UploadId };

export interface NewPredictionJob {
  readonly id: PredictionJobId;
  readonly projectId: ProjectId;
  readonly modelId: ModelId;
  readonly source: PredictionSource;
  readonly imageCount: number;
  readonly createdBy: TokenId;
}

const COLUMNS =
  'id, model_id, dataset_version_id, split, upload_id, status, status_code, status_message, image_count, csv_key, created_at, finished_at';

/** Prediction jobs and what they say of each image. */
export class PredictionStore {
  constructor(private readonly db: Database) {}

  async countImages(tx: Queryable, projectId: ProjectId, source: PredictionSource): Promise<number> {
    const rows = await tx.query(
      'count_images_to_predict',
      `select count(*) as count from (${sourceRows(source)}) images`,
      sourceValues(projectId, source),
    );
    return CountRow.parse(rows[0]).count;
  }

  /** Adds the job and one row per image, sorted by file name and numbered 0 … imageCount − 1. */
  async create(tx: Queryable, job: NewPredictionJob): Promise<void> {
    const { source } = job;
    await tx.query(
      'create_prediction_job',
      `insert into prediction_jobs (id, project_id, model_id, dataset_version_id, split, upload_id, image_count, created_by)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        uuidOf(job.id),
        uuidOf(job.projectId),
        uuidOf(job.modelId),
        source.kind === 'split' ? uuidOf(source.datasetVersionId) : null,
        source.kind === 'split' ? source.split : null,
        source.kind === 'upload' ? uuidOf(source.uploadId) : null,
        job.imageCount,
        uuidOf(job.createdBy),
      ],
    );
    await tx.query(
      'create_prediction_rows',
      `insert into predictions (job_id, ordinal, project_id, file_name, sha256, label)
       select $4, row_number() over (order by file_name collate "C") - 1, $1, file_name, sha256, label from (${sourceRows(source)}) images`,
      [...sourceValues(job.projectId, source), uuidOf(job.id)],
    );
  }

  async find(projectId: ProjectId, id: PredictionJobId): Promise<PredictionJobRecord | null> {
    const rows = await this.db.query('find_prediction_job', `select ${COLUMNS} from prediction_jobs where project_id = $1 and id = $2`, [
      uuidOf(projectId),
      uuidOf(id),
    ]);
    return JobRow.nullable().parse(rows[0] ?? null);
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<PredictionJobRecord>> {
    const rows = await this.db.query(
      'list_prediction_jobs',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from prediction_jobs
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => JobRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_prediction_jobs', 'select count(*) as count from prediction_jobs where project_id = $1', [
      uuidOf(projectId),
    ]);
    return CountRow.parse(rows[0]).count;
  }

  /** How many images of each job are predicted; jobs without any are absent. */
  async doneCounts(projectId: ProjectId, ids: readonly PredictionJobId[]): Promise<Map<PredictionJobId, number>> {
    const rows = await this.db.query(
      'prediction_done_counts',
      `select job_id, count(*) as count from predictions
        where project_id = $1 and job_id = any ($2::uuid[]) and predicted_at is not null
        group by job_id`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    const counts = z.array(CountRow.extend({ job_id: idColumn('pred') })).parse(rows);
    return new Map(counts.map((row) => [row.job_id, row.count]));
  }

  /** What computed each job so far, sorted; jobs of which nothing is known are absent. */
  async engines(projectId: ProjectId, ids: readonly PredictionJobId[]): Promise<Map<PredictionJobId, readonly string[]>> {
    const rows = await this.db.query(
      'prediction_engines',
      `select job_id, array_agg(distinct engine order by engine) as engines from chunks
        where project_id = $1 and job_id = any ($2::uuid[]) and engine is not null
        group by job_id`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    const engines = z.array(z.object({ job_id: idColumn('pred'), engines: z.array(z.string()) })).parse(rows);
    return new Map(engines.map((row) => [row.job_id, row.engines]));
  }

  async listPredictions(projectId: ProjectId, id: PredictionJobId, page: PageRequest): Promise<Page<PredictionRecord>> {
    const rows = await this.db.query(
      'list_predictions',
      `select p.ordinal, p.file_name, encode(p.sha256, 'hex') as sha256, p.label, p.predicted_label, p.probabilities, m.classes, p.predicted_at
         from predictions p
         join prediction_jobs j on j.id = p.job_id
         join models m on m.id = j.model_id
        where p.project_id = $1 and p.job_id = $2 and p.ordinal > $3
        order by p.ordinal
        limit $4`,
      [uuidOf(projectId), uuidOf(id), ordinalKey(page), page.limit + 1],
    );
    return ordinalPage(rows, page.limit, (row) => PredictionRow.parse(row));
  }
}

/** The images of a source as a query over $1 project, $2 dataset version or upload, $3 split or null. */
function sourceRows(source: PredictionSource): string {
  return source.kind === 'split'
    ? 'select file_name, sha256, label from samples where project_id = $1::uuid and dataset_version_id = $2::uuid and split = $3::text'
    : `select file_name, sha256, label from upload_files where project_id = $1::uuid and upload_id = $2::uuid and status = 'VERIFIED' and $3::text is null`;
}

function sourceValues(projectId: ProjectId, source: PredictionSource): [string, string, string | null] {
  return source.kind === 'split'
    ? [uuidOf(projectId), uuidOf(source.datasetVersionId), source.split]
    : [uuidOf(projectId), uuidOf(source.uploadId), null];
}

const CountRow = z.object({ count: z.number() });
