-- Passes of the janitor, what they found, and objects that are to go.

-- How many rows refer to an image is asked for each image.
create index upload_files_by_object on upload_files (project_id, sha256) where sha256 is not null;
create index samples_by_object on samples (project_id, sha256);
create index predictions_by_object on predictions (project_id, sha256);

create table janitor_passes (
  id             uuid primary key,
  -- null: the whole installation, begun by the coordinators themselves
  project_id     uuid references projects,
  requested_by   uuid references api_tokens,
  mode           text not null check (mode in ('DRY_RUN', 'DELETE')),
  status         text not null default 'QUEUED' check (status in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED')),
  -- where it goes on: part of the work, and what of it was looked at last
  phase          text,
  after          text not null default '',
  -- found more than one pass takes; the next goes on
  truncated      boolean not null default false,
  error_message  text,
  -- one coordinator at a time; generation fences the ones before
  lease_holder   text,
  lease_until    timestamptz,
  generation     bigint not null default 0,
  created_at     timestamptz not null default now(),
  started_at     timestamptz,
  finished_at    timestamptz,
  check ((project_id is null) = (requested_by is null)),
  check ((status = 'RUNNING') = (lease_holder is not null)),
  check ((status in ('SUCCEEDED', 'FAILED')) = (finished_at is not null))
);
-- one at a time in the whole installation
create unique index janitor_passes_running on janitor_passes (status) where status = 'RUNNING';
create index janitor_passes_open on janitor_passes (created_at, id) where status in ('QUEUED', 'RUNNING');
create index janitor_passes_by_project on janitor_passes (project_id, created_at desc, id desc);  -- list

create table janitor_findings (
  pass_id     uuid not null references janitor_passes on delete cascade,
  object_key  text not null,
  ordinal     bigint generated always as identity,
  kind        text not null,
  action      text not null check (action in ('REMOVE', 'WAIT', 'REPORT', 'REMOVED')),
  bytes       bigint,
  reason      text not null,
  primary key (pass_id, object_key)
);
create unique index janitor_findings_in_order on janitor_findings (pass_id, ordinal);  -- list

-- Objects on their way out, and a record of those that are. A row comes before the object goes: NOTED in the transaction that drops the last reference, or
-- when nothing was found to refer to it; REMOVING before the store is asked; REMOVED when it has answered. Whoever is to refer to an object again asks
-- claim_object_keys first.
create table object_removals (
  object_key   text primary key,
  project_id   uuid references projects,
  kind         text not null,
  reason       text not null,
  bytes        bigint,
  state        text not null default 'NOTED' check (state in ('NOTED', 'REMOVING', 'REMOVED')),
  noted_by     uuid not null,
  noted_at     timestamptz not null default now(),
  due_at       timestamptz not null,
  removing_at  timestamptz,
  removed_at   timestamptz,
  check ((state = 'NOTED') = (removing_at is null)),
  check ((state = 'REMOVED') = (removed_at is not null))
);
create index object_removals_open on object_removals (object_key) where state <> 'REMOVED';
create index object_removals_done on object_removals (removed_at) where state = 'REMOVED';

-- For a transaction that is about to refer to objects. What was only noted is taken off the list. Returns those that were removed once: look whether they
-- are there again. Raises RJ001 for those that are being removed, or were within 5 minutes: a removal that was sent then can still arrive.
-- The lock: a janitor that marks objects as REMOVING waits until this transaction has ended, and sees its references.
create function claim_object_keys(p_keys text[]) returns setof text
language plpgsql as $$
declare
  v_key text;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('roentgen-janitor:' || current_schema(), 0));
  select r.object_key into v_key from object_removals r
   where r.object_key = any (p_keys)
     and (r.state = 'REMOVING' or (r.state = 'REMOVED' and r.removing_at > clock_timestamp() - interval '5 minutes'))
   limit 1;
  if found then
    raise exception 'object % is being removed', v_key using errcode = 'RJ001', detail = v_key;
  end if;
  delete from object_removals where object_key = any (p_keys) and state = 'NOTED';
  return query select r.object_key from object_removals r where r.object_key = any (p_keys) order by 1;
end
$$;

-- Foreign keys are the count of references: false, and nothing done, when a row refers to it (a run, a model, whatever comes later).
create function remove_unreferenced_checkpoint(p_checkpoint uuid) returns boolean
language plpgsql as $$
begin
  delete from checkpoints where id = p_checkpoint;
  return found;
exception when foreign_key_violation then
  return false;
end
$$;

create function remove_unreferenced_object(p_project uuid, p_sha256 bytea) returns boolean
language plpgsql as $$
begin
  delete from objects where project_id = p_project and sha256 = p_sha256
     and not exists (select from predictions p where p.project_id = p_project and p.sha256 = p_sha256);
  return found;
exception when foreign_key_violation then
  return false;
end
$$;
