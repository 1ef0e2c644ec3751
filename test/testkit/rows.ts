import { uuidOf, newId, type DatasetVersionId, type ProjectId, type RunId, type TokenId, type UploadId } from '@roentgen/domain';
import type { Database } from '@roentgen/database';

/** Rows for tests of single parts, which have no API in front of them. */
export interface SeededProject {
  readonly projectId: ProjectId;
  readonly tokenId: TokenId;
  readonly uploadId: UploadId;
  readonly datasetVersionId: DatasetVersionId;
}

/** A project with a token, an upload in inspection, and a dataset version of two classes. */
export async function seedProject(database: Database): Promise<SeededProject> {
  const ids = { project: newId('prj'), token: newId('tok'), upload: newId('upl'), dataset: newId('ds'), version: newId('dsv') };
  const [project, token, upload, dataset, version] = Object.values(ids).map(uuidOf);
  const run = (sql: string, ...parameters: unknown[]) => database.query('seed', sql, parameters);
  await run(`insert into projects (id, slug, name) values ($1::uuid, 'p-' || right($1::text, 12), 'p')`, project);
  await run(
    `insert into api_tokens (id, project_id, name, role, token_sha256) values ($1::uuid, $2, 't', 'admin', sha256($1::uuid::text::bytea))`,
    token,
    project,
  );
  await run(
    `insert into uploads (id, project_id, created_by, expires_at, status) values ($1, $2, $3, now() + interval '1 day', 'INSPECTING')`,
    upload,
    project,
    token,
  );
  await run(`insert into datasets (id, project_id, name, created_by) values ($1, $2, 'd', $3)`, dataset, project, token);
  await run(
    `insert into dataset_versions (id, project_id, dataset_id, version, upload_id, manifest_sha256, manifest_key, classes, split_seed, split_fractions, sample_count, patient_count, created_by)
     values ($1, $2, $3, 1, $4, sha256('x'), 'k', '{a,b}', 0, '{0.7,0.15,0.15}', 1, 1, $5)`,
    version,
    project,
    dataset,
    upload,
    token,
  );
  return { projectId: ids.project, tokenId: ids.token, uploadId: ids.upload, datasetVersionId: ids.version };
}

/** A queued run of the project. */
export async function seedRun(database: Database, seeded: SeededProject, recipe: object = { variant: 'B0' }): Promise<RunId> {
  const runId = newId('run');
  await database.query(
    'seed',
    `insert into training_runs (id, project_id, name, dataset_version_id, recipe, epochs, created_by) values ($1, $2, 'r', $3, $5::jsonb, 1, $4)`,
    [...[runId, seeded.projectId, seeded.datasetVersionId, seeded.tokenId].map(uuidOf), JSON.stringify(recipe)],
  );
  return runId;
}

/** Files of the upload that wait for inspection. */
export async function seedPendingFiles(database: Database, seeded: SeededProject, count: number): Promise<void> {
  await database.query(
    'seed',
    `insert into upload_files (upload_id, ordinal, project_id, file_name, label, patient, declared_bytes)
     select $1, n, $2, 'file-' || n || '.png', 'a', 'patient-' || n, 10 from generate_series(0, $3 - 1) n`,
    [uuidOf(seeded.uploadId), uuidOf(seeded.projectId), count],
  );
}
