-- Runs that go on from a checkpoint of another run, and why a queued run waits.

alter table training_runs
  -- the run whose recipe a fork has, with its overrides, and where it starts
  add column forked_from_run_id         uuid references training_runs,
  -- null again once that checkpoint is removed, which it can be as soon as the fork has one of its own: until then checkpoint_id holds it
  add column forked_from_checkpoint_id  uuid references checkpoints on delete set null,
  add column forked_from_step           bigint,
  add column forked_from_epoch          integer,
  add constraint training_runs_fork_check check (num_nonnulls(forked_from_run_id, forked_from_step, forked_from_epoch) in (0, 3)),
  -- why a coordinator gives it to no worker: {code, message, workers: [{workerId, name, code, message}]}; null when it does, or nobody has looked
  add column wait                       jsonb;

create index training_runs_forks on training_runs (forked_from_run_id, created_at desc, id desc) where forked_from_run_id is not null;  -- forks of a run
create index training_runs_forked_checkpoint on training_runs (forked_from_checkpoint_id) where forked_from_checkpoint_id is not null;  -- removing one
create index training_runs_checkpoint on training_runs (checkpoint_id) where checkpoint_id is not null;                                 -- removing one
