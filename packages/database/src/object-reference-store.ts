import { z } from 'zod';
import { UPLOAD_STATUSES, idColumn, uuidOf, type PredictionJobId, type ProjectId, type RunId, type UploadId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

/** An object by what its key names. Files of uploads are not among them: their upload's state decides. */
export type NamedObject = { readonly key: string } & (
  | { readonly kind: 'image' | 'weights'; readonly projectId: ProjectId; readonly sha256: string }
  | { readonly kind: 'manifest' }
  | { readonly kind: 'checkpoint' | 'checkpoint-description'; readonly runId: RunId }
  | { readonly kind: 'predictions'; readonly jobId: PredictionJobId }
);

/** Rows that have an object each, in the order in which they are looked at. */
export const ROWS_WITH_OBJECTS = ['image', 'weights', 'manifest', 'checkpoint', 'predictions'] as const;
export type RowWithObject = (typeof ROWS_WITH_OBJECTS)[number];

const KeyRow = z.object({ key: z.string() });
const ContentRow = z.object({ project_id: idColumn('prj'), sha256: z.string() });

const RowObject = z
  .object({
    id: z.string(),
    project_id: idColumn('prj'),
    sha256: z.string().nullable(),
    object_key: z.string().nullable(),
    bytes: z.number().nullable(),
  })
  .transform((row) => ({ id: row.id, projectId: row.project_id, sha256: row.sha256, objectKey: row.object_key, bytes: row.bytes }));
/** A row that has an object: `sha256` where its key is made of that, else `objectKey`. `id` is for going on after it. */
export type RowObject = z.infer<typeof RowObject>;

const UploadRow = z
  .object({ id: idColumn('upl'), project_id: idColumn('prj'), status: z.enum(UPLOAD_STATUSES), expired: z.boolean() })
  .transform((row) => ({ uploadId: row.id, projectId: row.project_id, status: row.status, expired: row.expired }));
/** `expired`: OPEN beyond its time. */
export type UploadState = z.infer<typeof UploadRow>;

/** Which rows name which object. */
export class ObjectReferenceStore {
  constructor(private readonly db: Database) {}

  /** The keys of those that a row refers to. @param on the pool, or a transaction that holds the lock of claims */
  async referenced(objects: readonly NamedObject[], on: Queryable = this.db): Promise<Set<string>> {
    return new Set([
      ...(await this.contents(on, objects, 'image')),
      ...(await this.contents(on, objects, 'weights')),
      ...(await this.manifests(on, objects)),
      ...(await this.checkpoints(on, objects)),
      ...(await this.predictions(on, objects)),
    ]);
  }

  /** The states of uploads that are there. */
  async uploads(ids: readonly UploadId[], on: Queryable = this.db): Promise<Map<UploadId, UploadState>> {
    const rows = await on.query(
      'upload_states',
      `select id, project_id, status, status = 'OPEN' and expires_at < now() as expired from uploads where id = any ($1::uuid[])`,
      [ids.map(uuidOf)],
    );
    return new Map(
      UploadRow.array()
        .parse(rows)
        .map((upload) => [upload.uploadId, upload]),
    );
  }

  /** When the attempts that are under way began, by run. */
  async liveAttempts(runIds: readonly RunId[]): Promise<Map<RunId, string>> {
    const rows = await this.db.query(
      'live_attempt_starts',
      'select run_id, started_at from attempts where run_id = any ($1::uuid[]) and ended_at is null',
      [runIds.map(uuidOf)],
    );
    const starts = z.array(z.object({ run_id: idColumn('run'), started_at: z.string() })).parse(rows);
    return new Map(starts.map((row) => [row.run_id, row.started_at]));
  }

  /** Rows with their objects, those after `after` first; fewer than asked for only at the end. */
  async rows(kind: RowWithObject, projectId: ProjectId | null, after: string, limit: number): Promise<RowObject[]> {
    const rows = await this.db.query('rows_with_objects', ROWS[kind], [projectId === null ? null : uuidOf(projectId), after, limit]);
    return RowObject.array().parse(rows);
  }

  private async contents(on: Queryable, objects: readonly NamedObject[], kind: 'image' | 'weights'): Promise<string[]> {
    const wanted = objects.flatMap((object) => (object.kind === 'image' || object.kind === 'weights' ? [object] : []));
    const named = wanted.filter((object) => object.kind === kind);
    if (named.length === 0) return [];
    const table = kind === 'image' ? 'objects' : 'weight_sets';
    const rows = await on.query(
      'referenced_contents',
      `select t.project_id, encode(t.sha256, 'hex') as sha256
         from unnest($1::uuid[], $2::text[]) as n (project_id, sha256)
         join ${table} t on t.project_id = n.project_id and t.sha256 = decode(n.sha256, 'hex')`,
      [named.map((object) => uuidOf(object.projectId)), named.map((object) => object.sha256)],
    );
    const there = new Set(
      ContentRow.array()
        .parse(rows)
        .map((row) => `${row.project_id}/${row.sha256}`),
    );
    return named.filter((object) => there.has(`${object.projectId}/${object.sha256}`)).map((object) => object.key);
  }

  private async manifests(on: Queryable, objects: readonly NamedObject[]): Promise<string[]> {
    const keys = objects.filter((object) => object.kind === 'manifest').map((object) => object.key);
    return await keysOf(
      on,
      'referenced_manifests',
      'select manifest_key as key from dataset_versions where manifest_key = any ($1::text[])',
      keys,
    );
  }

  private async checkpoints(on: Queryable, objects: readonly NamedObject[]): Promise<string[]> {
    const named = objects.flatMap((object) => (object.kind === 'checkpoint' || object.kind === 'checkpoint-description' ? [object] : []));
    if (named.length === 0) return [];
    const rows = await on.query(
      'referenced_checkpoints',
      `select object_key as key from checkpoints where run_id = any ($1::uuid[])
       union all select regexp_replace(object_key, '\\.safetensors$', '.json') from checkpoints where run_id = any ($1::uuid[])`,
      [named.map((object) => uuidOf(object.runId))],
    );
    const there = new Set(
      KeyRow.array()
        .parse(rows)
        .map((row) => row.key),
    );
    return named.filter((object) => there.has(object.key)).map((object) => object.key);
  }

  /** A job has its file from the start: one that is written while the job ends is not yet in its row. */
  private async predictions(on: Queryable, objects: readonly NamedObject[]): Promise<string[]> {
    const named = objects.flatMap((object) => (object.kind === 'predictions' ? [object] : []));
    if (named.length === 0) return [];
    const rows = await on.query(
      'referenced_predictions',
      `select n.key from unnest($1::text[], $2::uuid[]) as n (key, id)
         join prediction_jobs j on j.id = n.id and (j.csv_key = n.key or j.status in ('QUEUED', 'RUNNING'))`,
      [named.map((object) => object.key), named.map((object) => uuidOf(object.jobId))],
    );
    return KeyRow.array()
      .parse(rows)
      .map((row) => row.key);
  }
}

async function keysOf(on: Queryable, name: string, sql: string, keys: readonly string[]): Promise<string[]> {
  if (keys.length === 0) return [];
  return KeyRow.array()
    .parse(await on.query(name, sql, [keys]))
    .map((row) => row.key);
}

/** $1 project or null, $2 the id to go on after (empty: from the first), $3 how many. */
const ROWS: Readonly<Record<RowWithObject, string>> = {
  image: rowsOf('objects t', "t.project_id::text || '/' || encode(t.sha256, 'hex')", "encode(t.sha256, 'hex')", 'null', 't.bytes'),
  weights: rowsOf('weight_sets t', 't.id::text', "encode(t.sha256, 'hex')", 'null', 't.bytes', "t.status = 'READY'"),
  manifest: rowsOf('dataset_versions t', 't.id::text', 'null', 't.manifest_key', 'null'),
  checkpoint: rowsOf('checkpoints t', 't.id::text', 'null', 't.object_key', 't.bytes'),
  predictions: rowsOf('prediction_jobs t', 't.id::text', 'null', 't.csv_key', 'null', 't.csv_key is not null'),
};

function rowsOf(from: string, id: string, sha256: string, objectKey: string, bytes: string, where = 'true'): string {
  return `select ${id} as id, t.project_id, ${sha256} as sha256, ${objectKey} as object_key, (${bytes})::bigint as bytes from ${from}
    where ${where} and ($1::uuid is null or t.project_id = $1) and ${id} > $2 collate "C" order by ${id} collate "C" limit $3`;
}
