-- Weights to start training from: a file of another library becomes our own one, projects/<project>/weights/<sha256>.safetensors.
create table weight_sets (
  id               uuid primary key,
  project_id       uuid not null references projects,
  name             text not null check (length(name) between 1 and 200),
  status           text not null default 'IMPORTING' check (status in ('IMPORTING', 'READY', 'FAILED')),
  -- where the file comes from, and which published one it is said to be
  upload_id        uuid references uploads,
  url              text,
  catalogue_name   text,
  -- what the user says of it; null: told from the file
  wanted_variant   text,
  wanted_library   text,
  wanted_sha256    bytea check (length(wanted_sha256) = 32),
  -- what it turned out to be, once READY
  variant          text,
  library          text,
  conventions      jsonb,
  classes          integer check (classes >= 2),
  parameter_count  bigint,
  sha256           bytea check (length(sha256) = 32),
  bytes            bigint check (bytes > 0),
  source_sha256    bytea check (length(source_sha256) = 32),
  error_code       text,
  error_message    text,
  created_by       uuid not null references api_tokens,
  created_at       timestamptz not null default now(),
  finished_at      timestamptz,
  check (num_nonnulls(upload_id, url) <= 1 and num_nonnulls(upload_id, url, catalogue_name) >= 1),
  check ((status = 'IMPORTING') = (finished_at is null)),
  check ((status = 'FAILED') = (error_code is not null)),
  check (num_nonnulls(variant, library, conventions, parameter_count, sha256, bytes, source_sha256) = case status when 'READY' then 7 else 0 end)
);
-- a name that failed may be used again
create unique index weight_sets_by_name on weight_sets (project_id, name) where status <> 'FAILED';
create index weight_sets_by_project on weight_sets (project_id, created_at desc, id desc);  -- list

-- An upload holds either images, or the one file of an import of weights.
alter table uploads add column purpose text not null default 'IMAGES' check (purpose in ('IMAGES', 'WEIGHTS'));

-- A file of weights that was imported is VERIFIED without being one of the project's images.
alter table upload_files drop constraint upload_files_check;
alter table upload_files add check (sha256 is null or status = 'VERIFIED');

-- The work of an import: one chunk, whose only ordinal is 0.
alter table chunks drop constraint chunks_kind_check;
alter table chunks add constraint chunks_kind_check check (kind in ('inspect', 'predict', 'import-weights'));
alter table chunks add column weight_set_id uuid references weight_sets;
alter table chunks add check ((kind = 'import-weights') = (weight_set_id is not null));
create index chunks_by_weight_set on chunks (weight_set_id) where weight_set_id is not null;  -- what became of an import?

-- The weights that the run starts from; also in its recipe. Null: random ones.
alter table training_runs add column initial_weights_id uuid references weight_sets;
