-- Coordinators look for jobs to finish at every tick; all others are history.
create index prediction_jobs_open on prediction_jobs (created_at, id) where status in ('QUEUED', 'RUNNING');
