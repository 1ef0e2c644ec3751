-- What a worker tells of how it computes; rows that are there belong to workers that did not tell.
alter table workers
  add column memory_budget_bytes  bigint check (memory_budget_bytes > 0),
  add column memory_scale         double precision not null default 1 check (memory_scale > 0),
  add column intra_op_threads     integer not null default 0 check (intra_op_threads >= 0),
  add column inter_op_threads     integer not null default 0 check (inter_op_threads >= 0),
  add column xla                  boolean not null default false,
  add column deterministic_ops    boolean not null default false,
  add column ineligible_reason    text;

-- Known when a run is started; what its micro-batch may not exceed with batch statistics. Null: nothing is settled by it.
alter table training_runs add column train_samples integer check (train_samples >= 0);

-- The self-test of a worker's machine, as the worker registered it; the registration may come before the first heartbeat is written down.
create table worker_selftests (
  worker_id           uuid primary key,
  verdict             text not null check (verdict in ('PASS', 'FAIL')),
  level               text not null check (level in ('quick', 'full')),
  made_at             timestamptz not null,
  seconds             double precision not null,
  tensorflow_version  text,
  checks              jsonb not null,
  speeds              jsonb not null,
  registered_at       timestamptz not null default now()
);
