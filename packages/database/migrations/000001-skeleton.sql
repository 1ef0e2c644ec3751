-- Every aggregate carries its project; keys are UUIDv7 made by the application; times are timestamptz.

create table projects (
  id          uuid primary key,
  slug        text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name        text not null,
  created_at  timestamptz not null default now()
);

create table api_tokens (
  id            uuid primary key,
  project_id    uuid not null references projects,
  name          text not null check (length(name) between 1 and 100),
  role          text not null check (role in ('viewer', 'analyst', 'trainer', 'admin')),
  -- SHA-256 of the token; the token itself is shown once and kept nowhere
  token_sha256  bytea not null unique check (length(token_sha256) = 32),
  created_at    timestamptz not null default now(),
  expires_at    timestamptz,
  revoked_at    timestamptz
);

-- Answers of mutations by key: the same key with the same request gives the first answer again, with another request an error.
create table idempotency_keys (
  actor_id      uuid not null references api_tokens,
  key           text not null check (length(key) between 1 and 200),
  operation     text not null,
  request_sha256 bytea not null,
  -- id of what was made, as public id
  result_id     text not null,
  created_at    timestamptz not null default now(),
  primary key (actor_id, key)
);

-- Verified bytes, once per project; key in the store: projects/<project>/objects/<sha256>
create table objects (
  project_id  uuid not null references projects,
  sha256      bytea not null check (length(sha256) = 32),
  bytes       bigint not null check (bytes > 0),
  format      text not null,
  width_px    integer not null check (width_px > 0),
  height_px   integer not null check (height_px > 0),
  channels    smallint not null,
  created_at  timestamptz not null default now(),
  primary key (project_id, sha256)
);

create table uploads (
  id            uuid primary key,
  project_id    uuid not null references projects,
  status        text not null default 'OPEN' check (status in ('OPEN', 'INSPECTING', 'READY', 'EXPIRED')),
  created_by    uuid not null references api_tokens,
  created_at    timestamptz not null default now(),
  completed_at  timestamptz,
  expires_at    timestamptz not null
);
create index uploads_by_project on uploads (project_id, created_at desc, id desc);  -- list

create table upload_files (
  upload_id        uuid not null references uploads on delete cascade,
  ordinal          integer not null check (ordinal >= 0),
  project_id       uuid not null references projects,
  file_name        text not null check (length(file_name) between 1 and 1024),
  label            text,
  patient          text,
  site             text,
  view             text,
  declared_sha256  bytea check (length(declared_sha256) = 32),
  declared_bytes   bigint not null check (declared_bytes >= 0),
  status           text not null default 'PENDING' check (status in ('PENDING', 'VERIFIED', 'REJECTED')),
  -- set once VERIFIED
  sha256           bytea,
  error_code       text,
  error_message    text,
  primary key (upload_id, ordinal),
  unique (upload_id, file_name),
  foreign key (project_id, sha256) references objects (project_id, sha256),
  check ((status = 'VERIFIED') = (sha256 is not null)),
  check ((status = 'REJECTED') = (error_code is not null))
);
create index upload_files_open on upload_files (upload_id, status, ordinal);  -- progress, and the rejected ones

create table datasets (
  id          uuid primary key,
  project_id  uuid not null references projects,
  name        text not null check (length(name) between 1 and 200),
  created_by  uuid not null references api_tokens,
  created_at  timestamptz not null default now(),
  unique (project_id, name)
);
create index datasets_by_project on datasets (project_id, created_at desc, id desc);  -- list

create table dataset_versions (
  id               uuid primary key,
  project_id       uuid not null references projects,
  dataset_id       uuid not null references datasets,
  version          integer not null check (version > 0),
  upload_id        uuid not null references uploads,
  manifest_sha256  bytea not null check (length(manifest_sha256) = 32),
  manifest_key     text not null,
  classes          text[] not null check (cardinality(classes) >= 2),
  split_seed       bigint not null,
  split_fractions  float8[] not null check (cardinality(split_fractions) = 3),
  sample_count     integer not null,
  patient_count    integer not null,
  created_by       uuid not null references api_tokens,
  created_at       timestamptz not null default now(),
  unique (dataset_id, version),
  unique (dataset_id, manifest_sha256)
);
create index dataset_versions_by_project on dataset_versions (project_id, created_at desc, id desc);  -- list

create table samples (
  dataset_version_id  uuid not null references dataset_versions,
  ordinal             integer not null,
  project_id          uuid not null references projects,
  file_name           text not null,
  sha256              bytea not null,
  label               text not null,
  patient             text not null,
  site                text,
  view                text,
  split               text not null check (split in ('train', 'val', 'test')),
  primary key (dataset_version_id, ordinal),
  unique (dataset_version_id, file_name),
  foreign key (project_id, sha256) references objects (project_id, sha256)
);
create index samples_by_split on samples (dataset_version_id, split, ordinal);  -- one split in order
create index samples_by_patient on samples (dataset_version_id, patient);       -- is a patient in two splits?

create table training_runs (
  id                  uuid primary key,
  project_id          uuid not null references projects,
  name                text not null check (length(name) between 1 and 200),
  dataset_version_id  uuid not null references dataset_versions,
  recipe              jsonb not null,
  status              text not null default 'QUEUED'
                      check (status in ('QUEUED', 'PREPARING', 'RUNNING', 'WAITING', 'PAUSING', 'PAUSED', 'CANCELLING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  -- why it waits or failed
  status_code         text,
  status_message      text,
  -- one coordinator at a time: whoever holds an unexpired lease; generation fences the ones before
  generation          bigint not null default 0,
  lease_holder        text,
  lease_until         timestamptz,
  -- sequence of the newest event; append_run_events locks this row
  head_sequence       bigint not null default 0,
  epochs              integer not null check (epochs > 0),
  epoch               integer not null default 0,
  total_steps         bigint,
  -- a lower bound: progress is recorded in batches
  committed_step      bigint not null default 0,
  checkpoint_id       uuid,
  created_by          uuid not null references api_tokens,
  created_at          timestamptz not null default now(),
  started_at          timestamptz,
  finished_at         timestamptz,
  check ((status in ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (finished_at is not null))
);
create index training_runs_by_project on training_runs (project_id, created_at desc, id desc);  -- list
create index training_runs_open on training_runs (created_at, id)
  where status not in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PAUSED');                      -- claim: the oldest first

create table attempts (
  id               uuid primary key,
  project_id       uuid not null references projects,
  run_id           uuid not null references training_runs,
  number           integer not null check (number > 0),
  generation       bigint not null,
  token            uuid not null,
  worker_id        uuid not null,
  worker_name      text not null,
  status           text not null default 'OFFERED' check (status in ('OFFERED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED', 'REFUSED')),
  cause_code       text,
  cause_message    text,
  resumed_from     uuid,
  started_at       timestamptz not null default now(),
  ended_at         timestamptz,
  unique (run_id, number),
  check ((status in ('OFFERED', 'RUNNING')) = (ended_at is null))
);
-- at most one attempt of a run is alive
create unique index attempts_alive on attempts (run_id) where ended_at is null;

create table run_events (
  run_id       uuid not null references training_runs,
  sequence     bigint not null check (sequence > 0),
  event_id     text not null,
  kind         text not null,
  occurred_at  timestamptz not null,
  recorded_at  timestamptz not null default now(),
  attempt_id   uuid,
  worker_id    uuid,
  epoch        integer,
  step         bigint,
  status       text,
  message      text,
  -- metrics, checkpoint, failure
  payload      jsonb not null,
  primary key (run_id, sequence),
  unique (run_id, event_id)
);

create table metrics (
  run_id      uuid not null references training_runs,
  name        text not null,
  step        bigint not null,
  epoch       integer,
  value       float8,
  kind        text not null check (kind in ('FINITE', 'NAN', 'POS_INF', 'NEG_INF')),
  occurred_at timestamptz not null,
  primary key (run_id, name, step),  -- a series in order; the last value of a name by lateral … limit 1
  check ((kind = 'FINITE') = (value is not null))
);

create table checkpoints (
  id          uuid primary key,
  project_id  uuid not null references projects,
  run_id      uuid not null references training_runs,
  attempt_id  uuid not null references attempts,
  epoch       integer not null,
  step        bigint not null,
  object_key  text not null,
  sha256      bytea not null check (length(sha256) = 32),
  bytes       bigint not null,
  created_at  timestamptz not null default now(),
  unique (run_id, step)
);

alter table training_runs add foreign key (checkpoint_id) references checkpoints;

create table models (
  id             uuid primary key,
  project_id     uuid not null references projects,
  run_id         uuid not null unique references training_runs,
  checkpoint_id  uuid not null references checkpoints,
  name           text not null,
  variant        text not null,
  classes        text[] not null,
  created_at     timestamptz not null default now()
);
create index models_by_project on models (project_id, created_at desc, id desc);  -- list

create table prediction_jobs (
  id                  uuid primary key,
  project_id          uuid not null references projects,
  model_id            uuid not null references models,
  -- what is predicted: one split of a version, or an upload
  dataset_version_id  uuid references dataset_versions,
  split               text check (split in ('train', 'val', 'test')),
  upload_id           uuid references uploads,
  status              text not null default 'QUEUED' check (status in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED')),
  status_code         text,
  status_message      text,
  image_count         integer not null check (image_count > 0),
  csv_key             text,
  created_by          uuid not null references api_tokens,
  created_at          timestamptz not null default now(),
  finished_at         timestamptz,
  check ((upload_id is null) = (dataset_version_id is not null)),
  check ((split is null) = (dataset_version_id is null))
);
create index prediction_jobs_by_project on prediction_jobs (project_id, created_at desc, id desc);  -- list

create table predictions (
  job_id           uuid not null references prediction_jobs,
  ordinal          integer not null,
  project_id       uuid not null references projects,
  file_name        text not null,
  sha256           bytea not null,
  -- the label of the dataset, where there is one
  label            text,
  -- the three below are null until the chunk is done
  predicted_label  text,
  probabilities    float8[],
  predicted_at     timestamptz,
  primary key (job_id, ordinal)
);

-- Small independent work: a few files to inspect or images to predict. The work queue only wakes workers; this row decides who has it.
create table chunks (
  id             uuid primary key,
  project_id     uuid not null references projects,
  kind           text not null check (kind in ('inspect', 'predict')),
  upload_id      uuid references uploads,
  job_id         uuid references prediction_jobs,
  first_ordinal  integer not null,
  last_ordinal   integer not null check (last_ordinal >= first_ordinal),
  status         text not null default 'PENDING' check (status in ('PENDING', 'CLAIMED', 'DONE', 'FAILED')),
  token          uuid,
  worker_id      uuid,
  lease_until    timestamptz,
  claims         integer not null default 0,
  announced_at   timestamptz,
  error_code     text,
  error_message  text,
  created_at     timestamptz not null default now(),
  finished_at    timestamptz,
  check ((kind = 'inspect') = (upload_id is not null)),
  check ((kind = 'predict') = (job_id is not null)),
  check ((status = 'CLAIMED') = (token is not null and lease_until is not null))
);
create index chunks_open on chunks (created_at, id) where status in ('PENDING', 'CLAIMED');  -- announce, and take back from the lost
create index chunks_by_upload on chunks (upload_id) where upload_id is not null;              -- is an upload done?
create index chunks_by_job on chunks (job_id) where job_id is not null;                       -- is a job done?

-- What the pool last said of itself; liveness is decided from last_seen_at. Workers belong to the installation, not to a project.
create table workers (
  id              uuid primary key,
  name            text not null,
  version         text not null,
  device          text not null check (device in ('cpu', 'cuda')),
  device_name     text not null,
  state           text not null,
  run_id          uuid references training_runs,
  resident_bytes  bigint not null,
  started_at      timestamptz not null,
  last_seen_at    timestamptz not null
);

-- Appends facts to a run's log: locks the run's head row, drops the event ids it already has, numbers the rest without a gap.
-- p_events: [{event_id, kind, occurred_at, attempt_id, worker_id, epoch, step, status, message, payload}], in order.
-- Returns the rows that are new. Raises no_data_found when there is no such run.
create function append_run_events(p_run uuid, p_events jsonb) returns setof run_events
language plpgsql as $$
declare
  v_head bigint;
begin
  select head_sequence into v_head from training_runs where id = p_run for update;
  if not found then
    raise exception 'no training run %', p_run using errcode = 'no_data_found';
  end if;
  return query
    with incoming as (
      select distinct on (e.value ->> 'event_id') e.value as event, e.ordinality
        from jsonb_array_elements(p_events) with ordinality e
       where not exists (select 1 from run_events k where k.run_id = p_run and k.event_id = e.value ->> 'event_id')
       order by e.value ->> 'event_id', e.ordinality
    ), numbered as (
      select event, v_head + row_number() over (order by ordinality) as sequence from incoming
    )
    insert into run_events (run_id, sequence, event_id, kind, occurred_at, attempt_id, worker_id, epoch, step, status, message, payload)
    select p_run, n.sequence, n.event ->> 'event_id', n.event ->> 'kind', (n.event ->> 'occurred_at')::timestamptz,
           (n.event ->> 'attempt_id')::uuid, (n.event ->> 'worker_id')::uuid, (n.event ->> 'epoch')::integer, (n.event ->> 'step')::bigint,
           n.event ->> 'status', n.event ->> 'message', n.event -> 'payload'
      from numbered n
     order by n.sequence
    returning *;
  update training_runs
     set head_sequence = coalesce((select max(sequence) from run_events where run_id = p_run), 0)
   where id = p_run;
end
$$;

insert into projects (id, slug, name) values ('01900000-0000-7000-8000-000000000001', 'default', 'Default project');
