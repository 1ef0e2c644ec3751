import { z } from 'zod';
import {
  EFFICIENTNET_VARIANT_NAMES,
  WEIGHT_LIBRARIES,
  WEIGHT_SET_STATUSES,
  WeightConventionsSchema,
  idColumn,
  uuidOf,
  type EfficientNetVariant,
  type ImportedWeights,
  type ProjectId,
  type TokenId,
  type UploadId,
  type WeightLibrary,
  type WeightSetId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { timeKey, timePage, type Page, type PageRequest } from './page.js';

const WeightSetRow = z
  .object({
    id: idColumn('wts'),
    name: z.string(),
    status: z.enum(WEIGHT_SET_STATUSES),
    url: z.string().nullable(),
    catalogue_name: z.string().nullable(),
    variant: z.enum(EFFICIENTNET_VARIANT_NAMES).nullable(),
    library: z.enum(WEIGHT_LIBRARIES).nullable(),
    conventions: WeightConventionsSchema.nullable(),
    classes: z.number().nullable(),
    parameter_count: z.number().nullable(),
    sha256: z.string().nullable(),
    bytes: z.number().nullable(),
    source_sha256: z.string().nullable(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    created_at: z.string(),
    finished_at: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    name: row.name,
    status: row.status,
    url: row.url,
    catalogueName: row.catalogue_name,
    variant: row.variant,
    library: row.library,
    conventions: row.conventions,
    classes: row.classes,
    parameterCount: row.parameter_count,
    sha256: row.sha256,
    bytes: row.bytes,
    sourceSha256: row.source_sha256,
    errorCode: row.error_code,
    errorMessage: row.error_message,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
  }));
export type WeightSetRecord = z.infer<typeof WeightSetRow>;

const ImportRow = z
  .object({
    upload_id: idColumn('upl').nullable(),
    url: z.string().nullable(),
    catalogue_name: z.string().nullable(),
    wanted_variant: z.enum(EFFICIENTNET_VARIANT_NAMES).nullable(),
    wanted_library: z.enum(WEIGHT_LIBRARIES).nullable(),
    wanted_sha256: z.string().nullable(),
    declared_bytes: z.number().nullable(),
    declared_sha256: z.string().nullable(),
  })
  .transform((row) => ({
    uploadId: row.upload_id,
    url: row.url,
    catalogueName: row.catalogue_name,
    variant: row.wanted_variant,
    library: row.wanted_library,
    declaredBytes: row.declared_bytes,
    sha256: row.wanted_sha256 ?? row.declared_sha256,
  }));
/** What an import is to look at. `declaredBytes`: set where the file was uploaded. */
export type WeightImport = z.infer<typeof ImportRow>;

export interface NewWeightSet {
  readonly id: WeightSetId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly uploadId: UploadId | null;
  readonly url: string | null;
  readonly catalogueName: string | null;
  readonly variant: EfficientNetVariant | null;
  readonly library: WeightLibrary | null;
  readonly sha256: string | null;
  readonly createdBy: TokenId;
}

const COLUMNS = `id, name, status, url, catalogue_name, variant, library, conventions, classes, parameter_count, encode(sha256, 'hex') as sha256, bytes,
  encode(source_sha256, 'hex') as source_sha256, error_code, error_message, created_at, finished_at`;

/** Weights that training can start from, and their imports. Methods with `tx` belong to the caller's transaction. */
export class WeightSetStore {
  constructor(private readonly db: Database) {}

  /** False when the project has a set of that name that has not failed: nothing was inserted then. */
  async create(tx: Queryable, set: NewWeightSet): Promise<boolean> {
    const rows = await tx.query(
      'create_weight_set',
      `insert into weight_sets (id, project_id, name, upload_id, url, catalogue_name, wanted_variant, wanted_library, wanted_sha256, created_by)
       values ($1, $2, $3, $4, $5, $6, $7, $8, decode($9, 'hex'), $10)
       on conflict (project_id, name) where status <> 'FAILED' do nothing
       returning id`,
      [
        uuidOf(set.id),
        uuidOf(set.projectId),
        set.name,
        set.uploadId === null ? null : uuidOf(set.uploadId),
        set.url,
        set.catalogueName,
        set.variant,
        set.library,
        set.sha256,
        uuidOf(set.createdBy),
      ],
    );
    return rows.length > 0;
  }

  async byIds(projectId: ProjectId, ids: readonly WeightSetId[]): Promise<WeightSetRecord[]> {
    const rows = await this.db.query(
      'weight_sets_by_ids',
      `select ${COLUMNS} from weight_sets where project_id = $1 and id = any ($2::uuid[])`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    return WeightSetRow.array().parse(rows);
  }

  /** The set of that name that has not failed, else the newest that has. */
  async byName(projectId: ProjectId, name: string): Promise<WeightSetRecord | null> {
    const rows = await this.db.query(
      'weight_set_by_name',
      `select ${COLUMNS} from weight_sets where project_id = $1 and name = $2 order by status = 'FAILED', created_at desc, id desc limit 1`,
      [uuidOf(projectId), name],
    );
    return WeightSetRow.nullable().parse(rows[0] ?? null);
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<WeightSetRecord>> {
    const rows = await this.db.query(
      'list_weight_sets',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from weight_sets
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => WeightSetRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_weight_sets', 'select count(*) as count from weight_sets where project_id = $1', [
      uuidOf(projectId),
    ]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** What the worker that has the import's chunk needs. */
  async importOf(id: WeightSetId): Promise<WeightImport> {
    const rows = await this.db.query(
      'weight_import',
      `select s.upload_id, s.url, s.catalogue_name, s.wanted_variant, s.wanted_library, encode(s.wanted_sha256, 'hex') as wanted_sha256,
              f.declared_bytes, encode(f.declared_sha256, 'hex') as declared_sha256
         from weight_sets s left join upload_files f on f.upload_id = s.upload_id and f.ordinal = 0
        where s.id = $1`,
      [uuidOf(id)],
    );
    return ImportRow.parse(rows[0]);
  }

  /** The file was stored and is what it should be; false when the import has ended before. */
  async markReady(tx: Queryable, id: WeightSetId, weights: ImportedWeights): Promise<boolean> {
    const rows = await tx.query(
      'weight_set_ready',
      `update weight_sets
          set status = 'READY', finished_at = now(), variant = $2, library = $3, conventions = $4::jsonb, classes = $5, parameter_count = $6,
              sha256 = decode($7, 'hex'), bytes = $8, source_sha256 = decode($9, 'hex')
        where id = $1 and status = 'IMPORTING'
       returning id`,
      [
        uuidOf(id),
        weights.variant,
        weights.library,
        JSON.stringify(weights.conventions),
        weights.classes,
        weights.parameterCount,
        weights.sha256,
        weights.bytes,
        weights.sourceSha256,
      ],
    );
    if (rows.length === 0) return false;
    await this.spendUpload(tx, id, null);
    return true;
  }

  /** False when the import has ended before. */
  async markFailed(tx: Queryable, id: WeightSetId, error: { code: string; message: string }): Promise<boolean> {
    const rows = await tx.query(
      'weight_set_failed',
      `update weight_sets set status = 'FAILED', finished_at = now(), error_code = $2, error_message = $3
        where id = $1 and status = 'IMPORTING' returning id`,
      [uuidOf(id), error.code, error.message],
    );
    if (rows.length === 0) return false;
    await this.spendUpload(tx, id, error);
    return true;
  }

  /** The upload of an import serves for nothing else; its file says what became of it. */
  private async spendUpload(tx: Queryable, id: WeightSetId, error: { code: string; message: string } | null): Promise<void> {
    await tx.query(
      'decide_weights_file',
      `update upload_files set status = $2, error_code = $3, error_message = $4
        where upload_id = (select upload_id from weight_sets where id = $1) and ordinal = 0 and status = 'PENDING'`,
      [uuidOf(id), error === null ? 'VERIFIED' : 'REJECTED', error?.code ?? null, error?.message ?? null],
    );
    await tx.query(
      'spend_weights_upload',
      `update uploads set status = 'EXPIRED' where id = (select upload_id from weight_sets where id = $1) and status = 'INSPECTING'`,
      [uuidOf(id)],
    );
  }
}
