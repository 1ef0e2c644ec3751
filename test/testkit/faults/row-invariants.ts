import type { Queryable } from '@roentgen/database';

/** What must hold between rows once nothing is under way, and how to break it: a rule that nothing can break says nothing. */
export interface RowInvariant {
  readonly rule: string;
  /** The rows that break it. */
  readonly violations: string;
  /** Breaks it, given one finished run with a model and a finished prediction. */
  readonly breakIt: string;
}

/** Kinds of events that only a worker states, of its own attempt. */
const WORKER_KINDS = `('RUN_STARTED', 'EPOCH_STARTED', 'STEP_COMMITTED', 'EVALUATED', 'CHECKPOINT_SAVED', 'RUN_SUCCEEDED')`;
const TERMINAL = `('SUCCEEDED', 'FAILED', 'CANCELLED')`;
const SUCCEEDED_RUN = `(select id from training_runs where status = 'SUCCEEDED' limit 1)`;

export const ROW_INVARIANTS: readonly RowInvariant[] = [
  {
    rule: 'the events of a run are numbered 1..n, and its head is n',
    violations: `select r.id, r.head_sequence, count(e.sequence), min(e.sequence), max(e.sequence)
                   from training_runs r left join run_events e on e.run_id = r.id group by r.id
                 having count(e.sequence) <> r.head_sequence or max(e.sequence) <> r.head_sequence or min(e.sequence) <> 1`,
    breakIt: `delete from run_events where run_id = ${SUCCEEDED_RUN} and sequence = 3`,
  },
  {
    rule: 'a run that has ended has one terminal event, its last one, which says the same',
    violations: `select r.id, r.status from training_runs r
                  where (r.status in ${TERMINAL}) <> (1 = (select count(*) from run_events e where e.run_id = r.id and e.status in ${TERMINAL}))
                     or (r.status in ${TERMINAL} and r.status is distinct from
                         (select e.status from run_events e where e.run_id = r.id order by e.sequence desc limit 1))`,
    breakIt: `update run_events set status = 'FAILED' where run_id = ${SUCCEEDED_RUN} and status = 'SUCCEEDED'`,
  },
  {
    rule: 'a run that has ended, or is paused, belongs to no coordinator',
    violations: `select id, status, lease_holder from training_runs where status in ('PAUSED', 'SUCCEEDED', 'FAILED', 'CANCELLED') and lease_holder is not null`,
    breakIt: `update training_runs set lease_holder = 'crd_x' where id = ${SUCCEEDED_RUN}`,
  },
  {
    rule: 'an attempt lives only at a run that is worked on',
    violations: `select a.id, a.status, r.status from attempts a join training_runs r on r.id = a.run_id
                  where a.ended_at is null and r.status not in ('PREPARING', 'RUNNING', 'PAUSING', 'CANCELLING')`,
    breakIt: `update attempts set ended_at = null, status = 'RUNNING' where id = (select id from attempts where status = 'SUCCEEDED' limit 1)`,
  },
  {
    rule: 'a run that is worked on has a living attempt',
    violations: `select r.id, r.status from training_runs r where r.status in ('PREPARING', 'RUNNING', 'PAUSING')
                    and not exists (select 1 from attempts a where a.run_id = r.id and a.ended_at is null)`,
    breakIt: `update training_runs set status = 'RUNNING', finished_at = null where id = ${SUCCEEDED_RUN}`,
  },
  {
    rule: 'a worker has one living attempt at most',
    violations: `select worker_id, count(*) from attempts where ended_at is null group by worker_id having count(*) > 1`,
    breakIt: `with one as (select * from attempts limit 1), runs as (
                insert into training_runs (id, project_id, name, dataset_version_id, recipe, epochs, created_by)
                select gen_random_uuid(), r.project_id, 'x', r.dataset_version_id, r.recipe, 1, r.created_by
                  from training_runs r, generate_series(1, 2) where r.id = ${SUCCEEDED_RUN} returning id, project_id)
              insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name)
              select gen_random_uuid(), runs.project_id, runs.id, 1, 0, gen_random_uuid(), one.worker_id, 'w' from runs, one`,
  },
  {
    rule: 'the attempts of a run are numbered 1..n, and generations do not go back',
    violations: `select run_id, number from (
                   select run_id, number, generation, row_number() over w as place, lag(generation) over w as before
                     from attempts window w as (partition by run_id order by number)) a
                  where number <> place or generation < before`,
    breakIt: `update attempts set number = number + 1 where run_id = ${SUCCEEDED_RUN}`,
  },
  {
    rule: 'a run has SUCCEEDED with exactly one attempt that did, its last one',
    violations: `select r.id, r.status from training_runs r
                  where (r.status = 'SUCCEEDED') <> (1 = (select count(*) from attempts a where a.run_id = r.id and a.status = 'SUCCEEDED'))
                     or (r.status = 'SUCCEEDED' and 'SUCCEEDED' <> (select a.status from attempts a where a.run_id = r.id order by a.number desc limit 1))`,
    breakIt: `update attempts set status = 'LOST', cause = 'WORKER_LOST' where run_id = ${SUCCEEDED_RUN} and status = 'SUCCEEDED'`,
  },
  {
    rule: 'an attempt that failed or was lost has a cause',
    violations: `select id, status from attempts where status in ('FAILED', 'LOST') and (cause is null or cause_code is null)`,
    breakIt: `update attempts set status = 'LOST', cause = null where id = (select id from attempts limit 1)`,
  },
  {
    rule: 'after its end an attempt says nothing more',
    violations: `select e.run_id, e.sequence, e.kind from run_events e
                  where e.kind in ${WORKER_KINDS}
                    and exists (select 1 from run_events ended where ended.run_id = e.run_id and ended.attempt_id = e.attempt_id
                                   and ended.sequence < e.sequence and ended.kind in ('ATTEMPT_LOST', 'ATTEMPT_FAILED', 'RUN_PAUSED', 'RUN_REQUEUED'))`,
    breakIt: `update run_events set kind = 'ATTEMPT_LOST' where run_id = ${SUCCEEDED_RUN} and sequence = 4`,
  },
  {
    rule: 'a run that has SUCCEEDED is complete: all steps, all epochs, a checkpoint of its last step, and a model of that checkpoint',
    violations: `select r.id, r.committed_step, r.total_steps, r.highest_step, r.epoch, c.step from training_runs r
                   left join checkpoints c on c.id = r.checkpoint_id left join models m on m.run_id = r.id
                  where r.status = 'SUCCEEDED'
                    and not coalesce(r.committed_step = r.total_steps and r.highest_step = r.total_steps and r.epoch = r.epochs
                                     and c.step = r.total_steps and c.run_id = r.id and m.checkpoint_id = c.id, false)`,
    breakIt: `update training_runs set committed_step = committed_step - 1 where id = ${SUCCEEDED_RUN}`,
  },
  {
    rule: 'only a run that has SUCCEEDED has a model',
    violations: `select m.id, r.status from models m join training_runs r on r.id = m.run_id where r.status <> 'SUCCEEDED'`,
    breakIt: `update training_runs set status = 'FAILED' where id = ${SUCCEEDED_RUN}`,
  },
  {
    rule: 'a run goes on from its latest checkpoint',
    violations: `select r.id from training_runs r join checkpoints c on c.id = r.checkpoint_id
                  where c.run_id <> r.id or c.step < (select max(step) from checkpoints o where o.run_id = r.id)`,
    breakIt: `update checkpoints set step = step + 1000 where id = (select id from checkpoints where id not in (select checkpoint_id from training_runs where checkpoint_id is not null) limit 1)`,
  },
  {
    rule: 'a checkpoint lies under its run, and was saved by an attempt at that run',
    violations: `select c.id from checkpoints c join attempts a on a.id = c.attempt_id
                  where a.run_id <> c.run_id or c.object_key not like '%/runs/run_' || replace(c.run_id::text, '-', '') || '/checkpoints/%'`,
    breakIt: `update checkpoints set object_key = 'elsewhere' where id = (select id from checkpoints limit 1)`,
  },
  {
    rule: 'each step of a run that has SUCCEEDED has its loss, and no step is beyond the last',
    violations: `select r.id, r.total_steps, count(m.step), max(m.step) from training_runs r
                   left join metrics m on m.run_id = r.id and m.name = 'train/loss'
                  where r.status = 'SUCCEEDED' group by r.id having count(m.step) <> r.total_steps or max(m.step) <> r.total_steps`,
    breakIt: `delete from metrics where run_id = ${SUCCEEDED_RUN} and name = 'train/loss' and step = 2`,
  },
  {
    rule: 'what the curves say of a step is what the last event about it said',
    violations: `with said as (
                   select distinct on (e.run_id, e.step, m ->> 'name') e.run_id, e.step, m ->> 'name' as name, (m ->> 'value')::float8 as value
                     from run_events e, jsonb_array_elements(e.payload -> 'metrics') m
                    where e.step is not null and e.kind in ('STEP_COMMITTED', 'EVALUATED', 'EPOCH_STARTED')
                    order by e.run_id, e.step, m ->> 'name', e.sequence desc)
                 select s.run_id, s.step, s.name, s.value, m.value from said s
                   left join metrics m on m.run_id = s.run_id and m.step = s.step and m.name = s.name
                  where m.value is distinct from s.value`,
    breakIt: `update metrics set value = value + 1e-9 where run_id = ${SUCCEEDED_RUN} and name = 'train/loss' and step = 2`,
  },
  {
    rule: 'a chunk that is done has its time, and none is claimed when nothing is under way',
    violations: `select id, status from chunks where (status in ('DONE', 'FAILED')) <> (finished_at is not null) or status not in ('DONE', 'FAILED')`,
    breakIt: `update chunks set status = 'PENDING' where id = (select id from chunks limit 1)`,
  },
  {
    rule: 'a prediction that has SUCCEEDED says something of each image, once, and has its file',
    violations: `select j.id, j.image_count, count(p.ordinal) from prediction_jobs j
                   left join predictions p on p.job_id = j.id and p.predicted_label is not null and p.probabilities is not null
                  where j.status = 'SUCCEEDED' group by j.id having count(p.ordinal) <> j.image_count or j.csv_key is null`,
    breakIt: `update predictions set predicted_label = null where ordinal = 1`,
  },
  {
    rule: 'an upload that is READY has no file left to look at',
    violations: `select u.id from uploads u where u.status = 'READY' and exists (select 1 from upload_files f where f.upload_id = u.id and f.status = 'PENDING')`,
    breakIt: `update upload_files set status = 'PENDING', sha256 = null, error_code = null where ordinal = 1`,
  },
];

/** What is wrong with the rows, a line for each rule that is broken; to be asked when nothing is under way. */
export async function brokenInvariants(database: Queryable): Promise<string[]> {
  const broken: string[] = [];
  for (const { rule, violations } of ROW_INVARIANTS) {
    const rows = await database.query('invariant', violations);
    if (rows.length > 0) broken.push(`${rule}: ${JSON.stringify(rows.slice(0, 3))}`);
  }
  return broken;
}
