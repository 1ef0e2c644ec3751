import { z } from 'zod';
import {
  ENDED_ATTEMPT_STATUSES,
  FAILURE_CAUSES,
  RUN_STATUSES,
  RequestedRecipeSchema,
  RunWaitSchema,
  idColumn,
  uuidOf,
  type CheckpointId,
  type DatasetVersionId,
  type ProjectId,
  type RunId,
  type RequestedRecipe,
  type RunStatus,
  type TokenId,
  type WeightSetId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { timeKey, timePage, type Page, type PageRequest } from './page.js';

export const ATTEMPT_STATUSES = ['OFFERED', 'RUNNING', ...ENDED_ATTEMPT_STATUSES] as const;
export type AttemptStatus = (typeof ATTEMPT_STATUSES)[number];

const RunRow = z
  .object({
    id: idColumn('run'),
    name: z.string(),
    dataset_version_id: idColumn('dsv'),
    recipe: RequestedRecipeSchema,
    status: z.enum(RUN_STATUSES),
    status_code: z.string().nullable(),
    status_message: z.string().nullable(),
    epoch: z.number(),
    epochs: z.number(),
    committed_step: z.number(),
    total_steps: z.number().nullable(),
    head_sequence: z.number(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    forked_from_run_id: idColumn('run').nullable(),
    forked_from_checkpoint_id: idColumn('ckp').nullable(),
    forked_from_step: z.number().nullable(),
    forked_from_epoch: z.number().nullable(),
    retry_at: z.string().nullable(),
    is_owned: z.boolean(),
    wait: RunWaitSchema.nullable().catch(null),
  })
  .transform((row) => ({
    id: row.id,
    name: row.name,
    datasetVersionId: row.dataset_version_id,
    recipe: row.recipe,
    status: row.status,
    statusCode: row.status_code,
    statusMessage: row.status_message,
    epoch: row.epoch,
    epochs: row.epochs,
    committedStep: row.committed_step,
    totalSteps: row.total_steps,
    headSequence: row.head_sequence,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    forkedFrom:
      row.forked_from_run_id === null || row.forked_from_step === null || row.forked_from_epoch === null
        ? null
        : {
            runId: row.forked_from_run_id,
            /** Null once the checkpoint was removed. */
            checkpointId: row.forked_from_checkpoint_id,
            step: row.forked_from_step,
            epoch: row.forked_from_epoch,
          },
    /** Not tried again before; null where that is past, or it need not wait. */
    retryAt: row.retry_at,
    /** A coordinator holds its lease. */
    isOwned: row.is_owned,
    /** Why that coordinator gives it to no worker; null where it has not said so. */
    wait: row.wait,
  }));
export type TrainingRunRecord = z.infer<typeof RunRow>;
/** One that was forked. */
export type ForkRecord = TrainingRunRecord & { readonly forkedFrom: NonNullable<TrainingRunRecord['forkedFrom']> };

const AttemptRow = z
  .object({
    id: idColumn('att'),
    run_id: idColumn('run'),
    number: z.number(),
    status: z.enum(ATTEMPT_STATUSES),
    worker_id: idColumn('wkr'),
    worker_name: z.string(),
    cause: z.enum(FAILURE_CAUSES).nullable(),
    cause_code: z.string().nullable(),
    cause_message: z.string().nullable(),
    last_step: z.number(),
    progressed: z.boolean(),
    started_at: z.string(),
    ended_at: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    runId: row.run_id,
    number: row.number,
    status: row.status,
    workerId: row.worker_id,
    workerName: row.worker_name,
    cause: row.cause,
    lastStep: row.last_step,
    progressed: row.progressed,
    causeCode: row.cause_code,
    causeMessage: row.cause_message,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  }));
export type AttemptRecord = z.infer<typeof AttemptRow>;

const CheckpointRow = z
  .object({
    id: idColumn('ckp'),
    run_id: idColumn('run'),
    attempt_id: idColumn('att'),
    epoch: z.number(),
    step: z.number(),
    sha256: z.string(),
    bytes: z.number(),
    created_at: z.string(),
  })
  .transform(({ run_id: runId, attempt_id: attemptId, created_at: createdAt, ...row }) => ({ ...row, runId, attemptId, createdAt }));
export type CheckpointRecord = z.infer<typeof CheckpointRow>;

export interface NewTrainingRun {
  readonly id: RunId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly datasetVersionId: DatasetVersionId;
  readonly recipe: RequestedRecipe;
  readonly initialWeightsId: WeightSetId | null;
  readonly createdBy: TokenId;
  /** Size of the version's train split. */
  readonly trainSamples: number;
}

export interface RunFilter {
  readonly status: RunStatus | null;
  readonly datasetVersionId: DatasetVersionId | null;
}

const COLUMNS = `id, name, dataset_version_id, recipe, status, status_code, status_message, epoch, epochs, committed_step, total_steps, head_sequence,
  created_at, started_at, finished_at, forked_from_run_id, forked_from_checkpoint_id, forked_from_step, forked_from_epoch,
  case when retry_at > now() then retry_at end as retry_at, coalesce(lease_until >= now(), false) as is_owned, wait`;

const CHECKPOINT_COLUMNS = `id, run_id, attempt_id, epoch, step, encode(sha256, 'hex') as sha256, bytes, created_at`;

/** Training runs as users make and read them; who works on them is in RunLeaseStore. */
export class RunStore {
  constructor(private readonly db: Database) {}

  async create(tx: Queryable, run: NewTrainingRun): Promise<void> {
    await tx.query(
      'create_run',
      `insert into training_runs (id, project_id, name, dataset_version_id, recipe, epochs, created_by, initial_weights_id, train_samples)
       values ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9)`,
      [
        uuidOf(run.id),
        uuidOf(run.projectId),
        run.name,
        uuidOf(run.datasetVersionId),
        JSON.stringify(run.recipe),
        run.recipe.epochs,
        uuidOf(run.createdBy),
        run.initialWeightsId === null ? null : uuidOf(run.initialWeightsId),
        run.trainSamples,
      ],
    );
  }

  /** Locks the run until the end of the transaction and gives its state; null when the project has no such run. */
  async lock(tx: Queryable, projectId: ProjectId, id: RunId): Promise<RunStatus | null> {
    const rows = await tx.query(
      'lock_project_run',
      'select status from training_runs where project_id = $1 and id = $2 for no key update',
      [uuidOf(projectId), uuidOf(id)],
    );
    return (
      z
        .object({ status: z.enum(RUN_STATUSES) })
        .nullable()
        .parse(rows[0] ?? null)?.status ?? null
    );
  }

  async byIds(projectId: ProjectId, ids: readonly RunId[]): Promise<TrainingRunRecord[]> {
    const rows = await this.db.query(
      'runs_by_ids',
      `select ${COLUMNS} from training_runs where project_id = $1 and id = any ($2::uuid[])`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    return RunRow.array().parse(rows);
  }

  async list(projectId: ProjectId, filter: RunFilter, page: PageRequest): Promise<Page<TrainingRunRecord>> {
    const rows = await this.db.query(
      'list_runs',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from training_runs
        where project_id = $1 and ($2::text is null or status = $2) and ($3::uuid is null or dataset_version_id = $3)
          and ($4::timestamptz is null or (created_at, id) < ($4::timestamptz, $5::uuid))
        order by created_at desc, id desc
        limit $6`,
      [...filterValues(projectId, filter), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => RunRow.parse(row));
  }

  async count(projectId: ProjectId, filter: RunFilter): Promise<number> {
    const rows = await this.db.query(
      'count_runs',
      'select count(*) as count from training_runs where project_id = $1 and ($2::text is null or status = $2) and ($3::uuid is null or dataset_version_id = $3)',
      filterValues(projectId, filter),
    );
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** The runs that were forked from these, newest first; of each at most 100. */
  async forks(projectId: ProjectId, runIds: readonly RunId[]): Promise<ForkRecord[]> {
    const rows = await this.db.query(
      'forks_of_runs',
      `select f.* from unnest($2::uuid[]) as parent (id)
        cross join lateral (select ${COLUMNS} from training_runs where project_id = $1 and forked_from_run_id = parent.id
                             order by created_at desc, id desc limit 100) f`,
      [uuidOf(projectId), runIds.map(uuidOf)],
    );
    return RunRow.array()
      .parse(rows)
      .flatMap(({ forkedFrom, ...run }) => (forkedFrom === null ? [] : [{ ...run, forkedFrom }]));
  }

  /** Oldest first. */
  async attempts(projectId: ProjectId, runIds: readonly RunId[]): Promise<AttemptRecord[]> {
    const rows = await this.db.query(
      'attempts_of_runs',
      `select id, run_id, number, status, worker_id, worker_name, cause, cause_code, cause_message, last_step, progressed, started_at, ended_at
         from attempts where project_id = $1 and run_id = any ($2::uuid[]) order by run_id, number`,
      [uuidOf(projectId), runIds.map(uuidOf)],
    );
    return AttemptRow.array().parse(rows);
  }

  async checkpointsByIds(projectId: ProjectId, ids: readonly CheckpointId[]): Promise<CheckpointRecord[]> {
    const rows = await this.db.query(
      'checkpoints_by_ids',
      `select ${CHECKPOINT_COLUMNS} from checkpoints where project_id = $1 and id = any ($2::uuid[])`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    return CheckpointRow.array().parse(rows);
  }

  /** By step. */
  async checkpoints(projectId: ProjectId, runIds: readonly RunId[]): Promise<CheckpointRecord[]> {
    const rows = await this.db.query(
      'checkpoints_of_runs',
      `select ${CHECKPOINT_COLUMNS}
         from checkpoints where project_id = $1 and run_id = any ($2::uuid[]) order by run_id, step`,
      [uuidOf(projectId), runIds.map(uuidOf)],
    );
    return CheckpointRow.array().parse(rows);
  }
}

function filterValues(projectId: ProjectId, filter: RunFilter): [string, RunStatus | null, string | null] {
  return [uuidOf(projectId), filter.status, filter.datasetVersionId === null ? null : uuidOf(filter.datasetVersionId)];
}
