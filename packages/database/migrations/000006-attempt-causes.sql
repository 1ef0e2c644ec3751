-- Why attempts ended and how far they came, when a run may be tried again, which workers get nothing, and reports that could not be recorded.

alter table attempts
  -- row of the table of causes (packages/domain); cause_code is what was reported
  add column cause       text,
  add column start_step  bigint not null default 0,
  add column last_step   bigint not null default 0,
  -- it took the run further than any attempt before it, or saved a later checkpoint
  add column progressed  boolean not null default false,
  drop constraint attempts_status_check,
  add constraint attempts_status_check
      check (status in ('OFFERED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED', 'PAUSED', 'REFUSED')),
  add constraint attempts_cause_check check (cause is null or status in ('FAILED', 'LOST'));
create index attempts_by_worker on attempts (worker_name, ended_at desc) where ended_at is not null;  -- is it the worker?

alter table training_runs
  add column highest_step  bigint not null default 0,
  -- not before: the last tries followed each other too fast
  add column retry_at      timestamptz;

-- What is known of attempts before there were causes; runs in flight go on.
update attempts set start_step = c.step, last_step = c.step from checkpoints c where c.id = attempts.resumed_from;
update attempts set last_step = greatest(attempts.last_step, r.committed_step)
  from training_runs r where r.id = attempts.run_id and attempts.ended_at is null;
update attempts
   set cause = case when status = 'LOST' then 'WORKER_LOST'
                    when cause_code = 'WORKER_STOPPING' then 'WORKER_DRAINED'
                    when cause_code = 'UNAVAILABLE' then 'STORE_AWAY'
                    when cause_code = 'OUT_OF_MEMORY' then 'OUT_OF_MEMORY'
                    when cause_code = 'NON_FINITE_LOSS' then 'NON_FINITE'
                    when cause_code = 'CONFIG_ERROR' then 'CONFIG_ERROR'
                    else 'INTERNAL' end
 where status in ('FAILED', 'LOST');
update training_runs set highest_step = committed_step;

-- Asked to leave what it does and to take nothing; ends with the process, or with readmission.
alter table workers add column drained_at timestamptz;

-- Workers that failed several runs in a row, by name: the id is new for each process. One row for each that ever was, with its latest evidence.
create table worker_exclusions (
  worker_name    text primary key,
  -- how often so far: each time lasts twice as long
  strikes        integer not null check (strikes > 0),
  evidence       jsonb not null,
  reason         text not null,
  set_aside_at   timestamptz not null default now(),
  until          timestamptz not null,
  readmitted_at  timestamptz
);

-- Batches of events that could not be recorded although nothing was away: counted, and kept as evidence when they failed their attempt.
create table refused_batches (
  attempt_id      uuid not null references attempts,
  first_event_id  text not null,
  tries           integer not null default 1,
  error_message   text not null,
  -- the batch as it came (JSON), once it is given up
  batch           bytea,
  first_at        timestamptz not null default now(),
  last_at         timestamptz not null default now(),
  primary key (attempt_id, first_event_id)
);
