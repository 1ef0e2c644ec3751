import { z } from 'zod';
import { RUN_STATUSES, idColumn, uuidOf, type AttemptId, type CoordinatorId, type RunId, type RunStatus } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

const LeasedRunRow = z
  .object({
    id: idColumn('run'),
    project_id: idColumn('prj'),
    generation: z.number(),
    status: z.enum(RUN_STATUSES),
    recipe: z.record(z.string(), z.unknown()),
    dataset_version_id: idColumn('dsv'),
    manifest_key: z.string(),
    manifest_sha256: z.string(),
    classes: z.array(z.string()),
    checkpoint_id: idColumn('ckp').nullable(),
    checkpoint_key: z.string().nullable(),
    checkpoint_sha256: z.string().nullable(),
    checkpoint_bytes: z.number().nullable(),
    weights_id: idColumn('wts').nullable(),
    weights_name: z.string().nullable(),
    weights_sha256: z.string().nullable(),
    weights_bytes: z.number().nullable(),
    attempts: z.number(),
    train_samples: z.number().nullable(),
  })
  .transform((row) => ({
    runId: row.id,
    projectId: row.project_id,
    generation: row.generation,
    status: row.status,
    recipe: row.recipe,
    dataset: {
      datasetVersionId: row.dataset_version_id,
      projectId: row.project_id,
      manifestKey: row.manifest_key,
      manifestSha256: row.manifest_sha256,
      classes: row.classes,
    },
    checkpoint:
      row.checkpoint_id !== null && row.checkpoint_key !== null && row.checkpoint_sha256 !== null && row.checkpoint_bytes !== null
        ? { checkpointId: row.checkpoint_id, objectKey: row.checkpoint_key, sha256: row.checkpoint_sha256, bytes: row.checkpoint_bytes }
        : null,
    initialWeights:
      row.weights_id !== null && row.weights_name !== null && row.weights_sha256 !== null && row.weights_bytes !== null
        ? { weightSetId: row.weights_id, name: row.weights_name, sha256: row.weights_sha256, bytes: row.weights_bytes }
        : null,
    attempts: row.attempts,
    /** Size of the train split; null of a run that was started before this was kept. */
    trainSamples: row.train_samples,
  }));

/** A run that this coordinator owns, with all that an attempt at it needs. */
export type LeasedRun = z.infer<typeof LeasedRunRow>;

const RunStatusRow = z.object({ status: z.enum(RUN_STATUSES) });

const LiveAttemptRow = z
  .object({
    id: idColumn('att'),
    run_id: idColumn('run'),
    number: z.number(),
    generation: z.number(),
    token: z.string(),
    worker_id: idColumn('wkr'),
    worker_name: z.string(),
    status: z.enum(['OFFERED', 'RUNNING']),
    age_ms: z.number(),
  })
  .transform((row) => ({
    attemptId: row.id,
    runId: row.run_id,
    number: row.number,
    generation: row.generation,
    token: row.token,
    workerId: row.worker_id,
    workerName: row.worker_name,
    status: row.status,
    ageMs: row.age_ms,
  }));

/** An attempt that has not ended. `ageMs`: since it was offered, by Postgres' clock; clocks of two machines are not compared. */
export type LiveAttempt = z.infer<typeof LiveAttemptRow>;

/** Tries that count: neither offers that were refused nor attempts whose worker was asked to leave. */
const CHARGED_ATTEMPTS = `a.status <> 'REFUSED' and a.cause_code is distinct from 'WORKER_STOPPING'`;

const OPEN = `status not in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED')`;

const LEASED_COLUMNS = `
  r.id, r.project_id, r.generation, r.status, r.recipe, r.dataset_version_id,
  v.manifest_key, encode(v.manifest_sha256, 'hex') as manifest_sha256, v.classes,
  c.id as checkpoint_id, c.object_key as checkpoint_key, encode(c.sha256, 'hex') as checkpoint_sha256, c.bytes as checkpoint_bytes,
  w.id as weights_id, w.name as weights_name, encode(w.sha256, 'hex') as weights_sha256, w.bytes as weights_bytes,
  (select count(*) from attempts a where a.run_id = r.id and ${CHARGED_ATTEMPTS}) as attempts,
  r.train_samples`;

/** Who owns a run (one coordinator), and who works on it (one attempt): rows decide, messages only wake. */
export class RunLeaseStore {
  constructor(private readonly db: Database) {}

  /**
   * Takes over open runs that nobody owns, oldest first, until the coordinator owns `maxOwned`, and raises their generation. Safe with any number of
   * coordinators: of two that ask at once each gets other rows.
   */
  async claimOpen(coordinator: CoordinatorId, leaseMs: number, maxOwned: number): Promise<RunId[]> {
    const rows = await this.db.query(
      'claim_open_runs',
      `update training_runs r
          set lease_holder = $1, lease_until = now() + $2 * interval '1 millisecond', generation = r.generation + 1
        where r.id in (select id from training_runs
                        where ${OPEN} and (lease_until is null or lease_until < now())
                        order by created_at, id
                        for update skip locked
                        limit greatest(0, $3 - (select count(*) from training_runs where ${OPEN} and lease_holder = $1 and lease_until >= now())))
       returning r.id`,
      [coordinator, leaseMs, maxOwned],
    );
    return z
      .array(z.object({ id: idColumn('run') }))
      .parse(rows)
      .map((row) => row.id);
  }

  /** Prolongs the leases still held; returns all runs that this coordinator now owns. A run that is missing was lost to another one, or has ended. */
  async renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    await this.db.query(
      'renew_run_leases',
      `update training_runs set lease_until = now() + $2 * interval '1 millisecond'
        where lease_holder = $1 and lease_until >= now() and ${OPEN}`,
      [coordinator, leaseMs],
    );
    const rows = await this.db.query(
      'leased_runs',
      `select ${LEASED_COLUMNS}
         from training_runs r
         join dataset_versions v on v.id = r.dataset_version_id
         left join checkpoints c on c.id = r.checkpoint_id
         left join weight_sets w on w.id = r.initial_weights_id
        where r.lease_holder = $1 and r.lease_until >= now() and r.${OPEN}
        order by r.created_at, r.id`,
      [coordinator],
    );
    return LeasedRunRow.array().parse(rows);
  }

  /** Lets go of every lease, so that another coordinator need not wait for its end. */
  async release(coordinator: CoordinatorId): Promise<void> {
    await this.db.query('release_run_leases', 'update training_runs set lease_until = null, lease_holder = null where lease_holder = $1', [
      coordinator,
    ]);
  }

  /** The attempts of these runs that have not ended; at most one a run. */
  async liveAttempts(runIds: readonly RunId[]): Promise<LiveAttempt[]> {
    const rows = await this.db.query(
      'live_attempts',
      `select id, run_id, number, generation, token, worker_id, worker_name, status,
              floor(extract(epoch from now() - started_at) * 1000)::bigint as age_ms
         from attempts where run_id = any ($1::uuid[]) and ended_at is null`,
      [runIds.map(uuidOf)],
    );
    return LiveAttemptRow.array().parse(rows);
  }

  /** Locks the run's row until the end of the transaction and gives its state; null when there is no such run. Always the first lock taken. */
  async lockRun(tx: Queryable, runId: RunId): Promise<RunStatus | null> {
    const rows = await tx.query('lock_run', 'select status from training_runs where id = $1 for update', [uuidOf(runId)]);
    return RunStatusRow.nullable().parse(rows[0] ?? null)?.status ?? null;
  }

  /** Like lockRun; null also when the run is no longer this coordinator's of that generation: then it is another's to decide. */
  async lockOwned(tx: Queryable, owned: { runId: RunId; coordinator: CoordinatorId; generation: number }): Promise<RunStatus | null> {
    const rows = await tx.query(
      'lock_owned_run',
      'select status from training_runs where id = $1 and lease_holder = $2 and generation = $3 for update',
      [uuidOf(owned.runId), owned.coordinator, owned.generation],
    );
    return RunStatusRow.nullable().parse(rows[0] ?? null)?.status ?? null;
  }

  /** How many tries the run has had that count: see CHARGED_ATTEMPTS. */
  async attemptCount(tx: Queryable, runId: RunId): Promise<number> {
    const rows = await tx.query(
      'count_attempts',
      `select count(*) as attempts from attempts a where a.run_id = $1 and ${CHARGED_ATTEMPTS}`,
      [uuidOf(runId)],
    );
    return z.object({ attempts: z.number() }).parse(rows[0]).attempts;
  }

  /**
   * Opens an attempt for a queued run that this coordinator still owns, and moves the run to PREPARING. Null when the run has moved on in the
   * meantime: nothing is changed then.
   */
  async openAttempt(tx: Queryable, attempt: NewAttempt): Promise<{ number: number } | null> {
    const moved = await tx.query(
      'prepare_run',
      `update training_runs set status = 'PREPARING', status_code = null, status_message = null
        where id = $1 and status = 'QUEUED' and lease_holder = $2 and generation = $3 and lease_until >= now()
       returning project_id`,
      [uuidOf(attempt.runId), attempt.coordinator, attempt.generation],
    );
    if (moved.length === 0) return null;
    const rows = await tx.query(
      'open_attempt',
      `insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name, resumed_from)
       select $1, r.project_id, r.id, coalesce((select max(number) from attempts where run_id = r.id), 0) + 1, $3, $4, $5, $6, r.checkpoint_id
         from training_runs r where r.id = $2
       returning number`,
      [uuidOf(attempt.attemptId), uuidOf(attempt.runId), attempt.generation, attempt.token, uuidOf(attempt.workerId), attempt.workerName],
    );
    return z.object({ number: z.number() }).parse(rows[0]);
  }

  /** Settles the micro-batch of a run that was started without one; one that is settled stays. */
  async settleMicroBatch(tx: Queryable, runId: RunId, microBatchSize: number): Promise<void> {
    await tx.query(
      'settle_micro_batch',
      `update training_runs set recipe = recipe || jsonb_build_object('microBatchSize', $2::int) where id = $1 and recipe ->> 'microBatchSize' is null`,
      [uuidOf(runId), microBatchSize],
    );
  }

  /** Says why a queued run waits; taken back when it is given to a worker. */
  async explainWait(runId: RunId, why: { code: string; message: string }): Promise<void> {
    await this.db.query(
      'explain_wait',
      `update training_runs set status_code = $2, status_message = $3
        where id = $1 and status = 'QUEUED' and (status_code, status_message) is distinct from ($2, $3)`,
      [uuidOf(runId), why.code, why.message],
    );
  }

  /** Ends an attempt that has not ended yet, and is in one of the states; false when it already had. */
  async endAttempt(
    tx: Queryable,
    attemptId: AttemptId,
    status: EndedAttemptStatus,
    cause: { code: string; message: string } | null,
    from: readonly LiveAttempt['status'][] = ['OFFERED', 'RUNNING'],
  ): Promise<boolean> {
    const rows = await tx.query(
      'end_attempt',
      `update attempts set status = $2, cause_code = $3, cause_message = $4, ended_at = now() where id = $1 and status = any ($5::text[]) returning id`,
      [uuidOf(attemptId), status, cause?.code ?? null, cause?.message ?? null, from],
    );
    return rows.length > 0;
  }

  /**
   * Moves a run that is in one of the states to another; false when it was in none of them. Terminal states also get their time. A run that is
   * cancelled without a reason keeps the one that it was asked to cancel for.
   */
  async move(
    tx: Queryable,
    runId: RunId,
    from: readonly RunStatus[],
    to: RunStatus,
    why: { code: string; message: string } | null,
  ): Promise<boolean> {
    const rows = await tx.query(
      'move_run',
      `update training_runs
          set status = $3,
              status_code = case when $3 = 'CANCELLED' then coalesce($4, status_code) else $4 end,
              status_message = case when $3 = 'CANCELLED' then coalesce($5, status_message) else $5 end,
              started_at = case when $3 = 'RUNNING' then coalesce(started_at, now()) else started_at end,
              finished_at = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED') then now() end,
              lease_holder = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED') then null else lease_holder end,
              lease_until = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED') then null else lease_until end
        where id = $1 and status = any ($2::text[])
       returning id`,
      [uuidOf(runId), from, to, why?.code ?? null, why?.message ?? null],
    );
    return rows.length > 0;
  }
}

export interface NewAttempt {
  readonly runId: RunId;
  readonly coordinator: CoordinatorId;
  readonly generation: number;
  readonly attemptId: AttemptId;
  readonly token: string;
  readonly workerId: `wkr_${string}`;
  readonly workerName: string;
}

export type EndedAttemptStatus = 'SUCCEEDED' | 'FAILED' | 'LOST' | 'CANCELLED' | 'REFUSED';
