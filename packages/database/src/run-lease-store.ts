import { z } from 'zod';
import {
  FREE_CAUSES,
  HELD_WAIT_CODES,
  RUN_STATUSES,
  RunWaitSchema,
  idColumn,
  uuidOf,
  type CoordinatorId,
  type RunId,
  type RunOwner,
  type RunWait,
} from '@roentgen/domain';
import type { Database } from './database.js';

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
    train_samples: z.number().nullable(),
    retry_in_ms: z.number(),
    avoid_workers: z.array(z.string()),
    wait: RunWaitSchema.nullable().catch(null),
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
    /** Size of the train split; null of a run that was started before this was kept. */
    trainSamples: row.train_samples,
    retryInMs: row.retry_in_ms,
    avoidWorkers: row.avoid_workers,
    /** Why it waits, as it was last told. */
    wait: row.wait,
  }));

/**
 * A run that this coordinator owns, with all that an attempt at it needs. `retryInMs`: it gets none before. `avoidWorkers`: names of those that it failed
 * on; another one is the better try.
 */
export type LeasedRun = z.infer<typeof LeasedRunRow>;

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

const OPEN = `status not in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED')`;

/** A worker has it, and nobody has asked it to leave. */
const HELD_STATES = ['PREPARING', 'RUNNING'];

/** $2: causes of failures that were not the worker's. */
const LEASED_COLUMNS = `
  r.id, r.project_id, r.generation, r.status, r.recipe, r.dataset_version_id,
  v.manifest_key, encode(v.manifest_sha256, 'hex') as manifest_sha256, v.classes,
  c.id as checkpoint_id, c.object_key as checkpoint_key, encode(c.sha256, 'hex') as checkpoint_sha256, c.bytes as checkpoint_bytes,
  w.id as weights_id, w.name as weights_name, encode(w.sha256, 'hex') as weights_sha256, w.bytes as weights_bytes,
  r.train_samples, r.wait,
  greatest(0, ceil(extract(epoch from r.retry_at - now()) * 1000))::bigint as retry_in_ms,
  array(select distinct a.worker_name from attempts a
         where a.run_id = r.id and a.cause <> all ($2::text[])
           and a.number > coalesce((select max(p.number) from attempts p where p.run_id = r.id and p.progressed), 0)) as avoid_workers`;

/** Who owns which run: one coordinator each. Rows decide, messages only wake. What happens to a run is in RunLifecycleStore. */
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

  /**
   * Prolongs the leases still held; returns all runs that this coordinator now owns. A run that is missing was lost to another one, or has ended, or is free
   * to be claimed again.
   *
   * One that is locked is passed over, so that a process which was stopped in a transaction on one run does not cost the owner all others. It stays
   * owned until its lease ends, and nobody else can claim it while it is locked; whoever claims it then goes on with the attempt that it has.
   */
  async renew(coordinator: CoordinatorId, leaseMs: number): Promise<LeasedRun[]> {
    await this.db.query(
      'renew_run_leases',
      `update training_runs set lease_until = now() + $2 * interval '1 millisecond'
        where id in (select id from training_runs where lease_holder = $1 and lease_until >= now() and ${OPEN}
                        for no key update skip locked)`,
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
      [coordinator, FREE_CAUSES],
    );
    return LeasedRunRow.array().parse(rows);
  }

  /** Lets go of every lease, so that another coordinator need not wait for its end; but for those of runs that are locked. */
  async release(coordinator: CoordinatorId): Promise<void> {
    await this.db.query(
      'release_run_leases',
      `update training_runs set lease_until = null, lease_holder = null
        where id in (select id from training_runs where lease_holder = $1 for no key update skip locked)`,
      [coordinator],
    );
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

  /**
   * Says why a queued run waits, or one that a worker holds, or (null) that the latter goes on. One that is another's by now, or in another state, stays as
   * it is; so does one that is locked, until the next look.
   */
  async explainWait(runId: RunId, by: RunOwner, wait: RunWait | null): Promise<void> {
    const held = wait === null || HELD_WAIT_CODES.some((code) => code === wait.code);
    await this.db.query(
      'explain_wait',
      `update training_runs
          set wait = $2::jsonb,
              status_code = case when $3 = 'NO_WORKER_FITS' then $3 when status_code = 'NO_WORKER_FITS' then null else status_code end,
              status_message = case when $3 = 'NO_WORKER_FITS' then $4 when status_code = 'NO_WORKER_FITS' then null else status_message end
        where id = (select id from training_runs
                     where id = $1 and lease_holder = $6 and generation = $7 and status = any ($5::text[]) and wait is distinct from $2::jsonb
                       for no key update skip locked)`,
      [
        uuidOf(runId),
        wait && JSON.stringify(wait),
        wait?.code ?? '',
        wait?.message ?? '',
        held ? HELD_STATES : ['QUEUED'],
        by.coordinator,
        by.generation,
      ],
    );
  }
}
