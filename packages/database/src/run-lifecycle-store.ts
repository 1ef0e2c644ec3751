import { z } from 'zod';
import {
  ENDED_ATTEMPT_STATUSES,
  FAILURE_CAUSES,
  ConflictError,
  RUN_STATUSES,
  assertNever,
  idColumn,
  newId,
  stateEvent,
  uuidOf,
  type Decision,
  type EventDraft,
  type RunChange,
  type RunEvent,
  type RunEventInput,
  type RunId,
  type RunState,
} from '@roentgen/domain';
import type { Queryable } from './database.js';
import type { EventStore } from './event-store.js';

const RunRow = z.object({
  status: z.enum(RUN_STATUSES),
  generation: z.number(),
  lease_holder: z.custom<NonNullable<RunState['owner']>>((value) => typeof value === 'string').nullable(),
  highest_step: z.number(),
  checkpoint_step: z.number().nullable(),
  forked_from_step: z.number().nullable(),
});

const AttemptRow = z.object({
  id: idColumn('att'),
  number: z.number(),
  generation: z.number(),
  token: z.string(),
  worker_id: idColumn('wkr'),
  worker_name: z.string(),
  status: z.enum(['OFFERED', 'RUNNING', ...ENDED_ATTEMPT_STATUSES]),
  cause: z.enum(FAILURE_CAUSES).nullable(),
  start_step: z.number(),
  last_step: z.number(),
  progressed: z.boolean(),
});
type AttemptRow = z.infer<typeof AttemptRow>;

/** Ended attempts that are looked at in any case: where a worker was lost is evidence even after the run got further. */
const ENDED_ATTEMPTS_SEEN = 20;

/** The state that the run machine (`decide`, packages/domain) decides on, and what it decides, as rows. */
export class RunLifecycleStore {
  /** @param producer whose events these are where no worker states them */
  constructor(
    private readonly events: EventStore,
    private readonly producer: 'coordinator' | 'gateway',
  ) {}

  /**
   * Locks the run until the end of the transaction and gives its state; null when there is no such run. Always the first lock taken. Rows that refer to the
   * run can be written meanwhile: such as what its worker says of itself.
   */
  async load(tx: Queryable, runId: RunId): Promise<RunState | null> {
    const [found] = await tx.query(
      'lock_run',
      `select r.status, r.generation, r.lease_holder, r.highest_step, r.forked_from_step, (select c.step from checkpoints c where c.id = r.checkpoint_id) as checkpoint_step
         from training_runs r where r.id = $1 for no key update`,
      [uuidOf(runId)],
    );
    if (found === undefined) return null;
    const run = RunRow.parse(found);
    // Tries in vain are counted since the last progress, however many there were; the refused ones do not count, but for their numbers.
    const rows = await tx.query(
      'run_attempts',
      `select id, number, generation, token, worker_id, worker_name, status, cause, start_step, last_step, progressed
         from attempts
        where run_id = $1
          and (number = (select max(number) from attempts where run_id = $1)
               or status <> 'REFUSED'
                  and number >= least(coalesce((select max(number) from attempts where run_id = $1 and progressed), 0),
                                      coalesce((select number from attempts where run_id = $1 and status <> 'REFUSED' and ended_at is not null
                                                 order by number desc offset $2 limit 1), 0)))
        order by number desc`,
      [uuidOf(runId), ENDED_ATTEMPTS_SEEN - 1],
    );
    const attempts = AttemptRow.array().parse(rows);
    return {
      runId,
      status: run.status,
      generation: run.generation,
      owner: run.lease_holder,
      attempt: attempts.map(toLive).find((attempt) => attempt !== null) ?? null,
      ended: attempts.flatMap(toEnded).reverse(),
      attemptCount: attempts[0]?.number ?? 0,
      highestStep: run.highest_step,
      checkpointStep: run.checkpoint_step,
      forkedAtStep: run.forked_from_step,
    };
  }

  /**
   * Writes a decision on the state that `load` gave in this transaction; returns the new events, to be published after the commit.
   * @throws Error when a row is not as the decision found it: a defect, which rolls everything back
   */
  async record(tx: Queryable, runId: RunId, decision: Extract<Decision, { ok: true }>): Promise<RunEvent[]> {
    for (const change of lastAdvanceOnly(decision.changes)) await this.write(tx, runId, change);
    return await this.events.append(
      tx,
      runId,
      decision.events.map((draft) => this.toEvent(draft)),
    );
  }

  private toEvent(draft: EventDraft): RunEventInput {
    return 'fact' in draft ? draft.fact : stateEvent(this.producer, draft.kind, draft.status, draft.about);
  }

  private async write(tx: Queryable, runId: RunId, change: RunChange): Promise<void> {
    const rows = await this.apply(tx, runId, change);
    if (rows.length !== 1)
      throw new Error(`${change.kind} of ${runId} found ${rows.length} rows to change: it is not as it was when it was decided`);
  }

  private async apply(tx: Queryable, runId: RunId, change: RunChange): Promise<unknown[]> {
    switch (change.kind) {
      case 'MOVE':
        return await move(tx, runId, change);
      case 'OPEN_ATTEMPT':
        return await openAttempt(tx, runId, change.attempt);
      case 'SETTLE_MICRO_BATCH':
        return await settleMicroBatch(tx, runId, change.microBatchSize);
      case 'START_ATTEMPT':
        return await tx.query('start_attempt', `update attempts set status = 'RUNNING' where id = $1 and status = 'OFFERED' returning id`, [
          uuidOf(change.attemptId),
        ]);
      case 'ADVANCE':
        return await tx.query(
          'advance_attempt',
          `with advanced as (
             update attempts set last_step = $2, progressed = $3 where id = $1 and run_id = $4 and ended_at is null returning id)
           update training_runs set highest_step = greatest(highest_step, $5) where id = $4 and exists (select 1 from advanced) returning id`,
          [uuidOf(change.attemptId), change.lastStep, change.progressed, uuidOf(runId), change.highestStep],
        );
      case 'ADD_CHECKPOINT':
        return await addCheckpoint(tx, runId, change);
      case 'END_ATTEMPT':
        return await tx.query(
          'end_attempt',
          `update attempts set status = $2, cause = $3, cause_code = $4, cause_message = $5, ended_at = now()
            where id = $1 and run_id = $6 and ended_at is null returning id`,
          [uuidOf(change.attemptId), change.status, change.cause, change.why?.code ?? null, change.why?.message ?? null, uuidOf(runId)],
        );
      case 'ADD_MODEL':
        return await addModel(tx, runId);
      default:
        return assertNever(change);
    }
  }
}

/** Terminal states also get their time. A request that comes true (cancel, pause) keeps the reason that it was made for. */
async function move(
  tx: Queryable,
  runId: RunId,
  { from, to, why, retryAfterMs }: Extract<RunChange, { kind: 'MOVE' }>,
): Promise<unknown[]> {
  return await tx.query(
    'move_run',
    `update training_runs
        set status = $3,
            wait = null,
            status_code = case when $3 in ('CANCELLED', 'PAUSED') then coalesce($4, status_code) else $4 end,
            status_message = case when $3 in ('CANCELLED', 'PAUSED') then coalesce($5, status_message) else $5 end,
            retry_at = case when $6 > 0 then now() + $6 * interval '1 millisecond' end,
            started_at = case when $3 = 'RUNNING' then coalesce(started_at, now()) else started_at end,
            finished_at = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED') then now() end,
            lease_holder = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED') then null else lease_holder end,
            lease_until = case when $3 in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED') then null else lease_until end
      where id = $1 and status = $2
     returning id`,
    [uuidOf(runId), from, to, why?.code ?? null, why?.message ?? null, retryAfterMs],
  );
}

async function openAttempt(tx: Queryable, runId: RunId, attempt: NonNullable<RunState['attempt']>): Promise<unknown[]> {
  return await tx.query(
    'open_attempt',
    `insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name, resumed_from, start_step, last_step)
     select $1, r.project_id, r.id, $3, r.generation, $5, $6, $7, r.checkpoint_id, $8, $8
       from training_runs r where r.id = $2 and r.generation = $4
     returning id`,
    [
      uuidOf(attempt.attemptId),
      uuidOf(runId),
      attempt.number,
      attempt.generation,
      attempt.token,
      uuidOf(attempt.workerId),
      attempt.workerName,
      attempt.startStep,
    ],
  );
}

/** One that is settled stays. */
async function settleMicroBatch(tx: Queryable, runId: RunId, microBatchSize: number): Promise<unknown[]> {
  return await tx.query(
    'settle_micro_batch',
    `update training_runs set recipe = recipe || jsonb_build_object('microBatchSize', coalesce((recipe ->> 'microBatchSize')::int, $2::int))
      where id = $1 returning id`,
    [uuidOf(runId), microBatchSize],
  );
}

/** Makes a checkpoint the one that the run goes on from. A repeated step (after a resume) replaces the pointer of the earlier one. */
async function addCheckpoint(tx: Queryable, runId: RunId, change: Extract<RunChange, { kind: 'ADD_CHECKPOINT' }>): Promise<unknown[]> {
  const { checkpoint, attemptId } = change;
  // Keys of checkpoints are used once: what the janitor has taken away does not come back.
  const gone = await tx.query(
    'claim_checkpoint_keys',
    `select claim_object_keys as key from claim_object_keys(array[$1::text, regexp_replace($1, '\\.safetensors$', '.json')])`,
    [checkpoint.objectKey],
  );
  if (gone.length > 0) {
    throw new ConflictError(
      `Checkpoint ${checkpoint.checkpointId} was removed from the store, because no attempt of its run was under way.`,
      {
        checkpointId: checkpoint.checkpointId,
        objectKey: checkpoint.objectKey,
      },
    );
  }
  return await tx.query(
    'add_checkpoint',
    `with added as (
       insert into checkpoints (id, project_id, run_id, attempt_id, epoch, step, object_key, sha256, bytes)
       select $1, r.project_id, r.id, $3, $4, $5, $6, decode($7, 'hex'), $8 from training_runs r where r.id = $2
       on conflict (run_id, step) do update
          set attempt_id = excluded.attempt_id, object_key = excluded.object_key, sha256 = excluded.sha256, bytes = excluded.bytes
       returning id)
     update training_runs set checkpoint_id = (select id from added) where id = $2 returning id`,
    [
      uuidOf(checkpoint.checkpointId),
      uuidOf(runId),
      uuidOf(attemptId),
      checkpoint.epoch,
      checkpoint.step,
      checkpoint.objectKey,
      checkpoint.sha256,
      checkpoint.bytes,
    ],
  );
}

/** The model that a finished run stands for: its last checkpoint. */
async function addModel(tx: Queryable, runId: RunId): Promise<unknown[]> {
  return await tx.query(
    'add_model',
    `insert into models (id, project_id, run_id, checkpoint_id, name, variant, classes)
     select $1, r.project_id, r.id, r.checkpoint_id, r.name, r.recipe ->> 'variant', v.classes
       from training_runs r join dataset_versions v on v.id = r.dataset_version_id
      where r.id = $2 and r.checkpoint_id is not null
     returning id`,
    [uuidOf(newId('mdl')), uuidOf(runId)],
  );
}

/** Only where an attempt ends up is written, not each step of the way; it comes before whatever ends it. */
function lastAdvanceOnly(changes: readonly RunChange[]): RunChange[] {
  const last = changes.findLast((change) => change.kind === 'ADVANCE');
  const progressed = changes.some((change) => change.kind === 'ADVANCE' && change.progressed);
  const rest = changes.filter((change) => change.kind !== 'ADVANCE');
  return last?.kind === 'ADVANCE' ? [{ ...last, progressed }, ...rest] : rest;
}

function toLive(row: AttemptRow): RunState['attempt'] {
  if (row.status !== 'OFFERED' && row.status !== 'RUNNING') return null;
  return {
    attemptId: row.id,
    number: row.number,
    generation: row.generation,
    token: row.token,
    workerId: row.worker_id,
    workerName: row.worker_name,
    phase: row.status,
    startStep: row.start_step,
    lastStep: row.last_step,
    progressed: row.progressed,
  };
}

function toEnded(row: AttemptRow): RunState['ended'] {
  const { number, status, cause, progressed } = row;
  if (status === 'OFFERED' || status === 'RUNNING' || status === 'REFUSED') return [];
  return [{ number, workerName: row.worker_name, status, cause, lastStep: row.last_step, progressed }];
}
