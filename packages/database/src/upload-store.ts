import { z } from 'zod';
import {
  UPLOAD_FILE_STATUSES,
  UPLOAD_PURPOSES,
  UPLOAD_STATUSES,
  idColumn,
  uuidOf,
  type ProjectId,
  type TokenId,
  type UploadFileStatus,
  type UploadId,
  type UploadPurpose,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { ordinalKey, ordinalPage, type Page, type PageRequest } from './page.js';

const UploadRow = z
  .object({
    id: idColumn('upl'),
    purpose: z.enum(UPLOAD_PURPOSES),
    status: z.enum(UPLOAD_STATUSES),
    created_at: z.string(),
    completed_at: z.string().nullable(),
    expires_at: z.string(),
    file_count: z.number(),
    pending_count: z.number(),
    verified_count: z.number(),
    rejected_count: z.number(),
    bytes: z.coerce.number(),
  })
  .transform((row) => ({
    id: row.id,
    purpose: row.purpose,
    status: row.status,
    createdAt: row.created_at,
    completedAt: row.completed_at,
    expiresAt: row.expires_at,
    fileCount: row.file_count,
    pendingCount: row.pending_count,
    verifiedCount: row.verified_count,
    rejectedCount: row.rejected_count,
    bytes: row.bytes,
  }));
export type UploadRecord = z.infer<typeof UploadRow>;

const UploadFileRow = z
  .object({
    ordinal: z.number(),
    file_name: z.string(),
    status: z.enum(UPLOAD_FILE_STATUSES),
    declared_bytes: z.number(),
    sha256: z.string().nullable(),
    label: z.string().nullable(),
    patient: z.string().nullable(),
    site: z.string().nullable(),
    view: z.string().nullable(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
  })
  .transform((row) => ({
    ordinal: row.ordinal,
    fileName: row.file_name,
    status: row.status,
    bytes: row.declared_bytes,
    sha256: row.sha256,
    label: row.label,
    patient: row.patient,
    site: row.site,
    view: row.view,
    errorCode: row.error_code,
    errorMessage: row.error_message,
  }));
export type UploadFileRecord = z.infer<typeof UploadFileRow>;

const VerifiedFileRow = z
  .object({
    file_name: z.string(),
    sha256: z.string(),
    label: z.string().nullable(),
    patient: z.string().nullable(),
    site: z.string().nullable(),
    view: z.string().nullable(),
    width_px: z.number(),
    height_px: z.number(),
  })
  .transform((row) => ({
    fileName: row.file_name,
    sha256: row.sha256,
    label: row.label,
    patient: row.patient,
    site: row.site,
    view: row.view,
    widthPx: row.width_px,
    heightPx: row.height_px,
  }));
/** A file that can enter a manifest. */
export type VerifiedFileRecord = z.infer<typeof VerifiedFileRow>;

const LockedUploadRow = z.object({ status: z.enum(UPLOAD_STATUSES), purpose: z.enum(UPLOAD_PURPOSES) });
export type LockedUpload = z.infer<typeof LockedUploadRow>;

export interface NewUploadFile {
  readonly fileName: string;
  readonly bytes: number;
  readonly sha256: string | null;
  readonly label: string | null;
  readonly patient: string | null;
  readonly site: string | null;
  readonly view: string | null;
}

const AddedFileRow = z.object({ ordinal: z.number(), file_name: z.string(), status: z.enum(UPLOAD_FILE_STATUSES) }).transform((row) => ({
  ordinal: row.ordinal,
  fileName: row.file_name,
  status: row.status,
}));
export type AddedFile = z.infer<typeof AddedFileRow>;

const FILE_COLUMNS = `ordinal, file_name, status, declared_bytes, encode(sha256, 'hex') as sha256, label, patient, site, view, error_code, error_message`;

/** Uploads and their files. */
export class UploadStore {
  constructor(private readonly db: Database) {}

  async create(
    tx: Queryable,
    upload: { id: UploadId; projectId: ProjectId; purpose: UploadPurpose; createdBy: TokenId; expiresInHours: number },
  ): Promise<void> {
    await tx.query(
      'create_upload',
      `insert into uploads (id, project_id, created_by, expires_at, purpose) values ($1, $2, $3, now() + $4 * interval '1 hour', $5)`,
      [uuidOf(upload.id), uuidOf(upload.projectId), uuidOf(upload.createdBy), upload.expiresInHours, upload.purpose],
    );
  }

  async find(projectId: ProjectId, id: UploadId): Promise<UploadRecord | null> {
    const rows = await this.db.query(
      'find_upload',
      `select u.id, u.purpose, u.status, u.created_at, u.completed_at, u.expires_at, f.*
         from uploads u
        cross join lateral (
              select count(*) as file_count,
                     count(*) filter (where status = 'PENDING') as pending_count,
                     count(*) filter (where status = 'VERIFIED') as verified_count,
                     count(*) filter (where status = 'REJECTED') as rejected_count,
                     coalesce(sum(declared_bytes), 0) as bytes
                from upload_files where upload_id = u.id) f
        where u.project_id = $1 and u.id = $2`,
      [uuidOf(projectId), uuidOf(id)],
    );
    return UploadRow.nullable().parse(rows[0] ?? null);
  }

  /** Locks the upload until the end of the transaction and gives its state; null when the project has no such upload. */
  async lock(tx: Queryable, projectId: ProjectId, id: UploadId): Promise<LockedUpload | null> {
    const rows = await tx.query('lock_upload', 'select status, purpose from uploads where project_id = $1 and id = $2 for update', [
      uuidOf(projectId),
      uuidOf(id),
    ]);
    return LockedUploadRow.nullable().parse(rows[0] ?? null);
  }

  /** Moves an upload on; the caller holds its lock and knows that the move is legal. */
  async complete(tx: Queryable, id: UploadId, status: 'INSPECTING' | 'READY'): Promise<void> {
    await tx.query('complete_upload', 'update uploads set status = $2, completed_at = coalesce(completed_at, now()) where id = $1', [
      uuidOf(id),
      status,
    ]);
  }

  async countFilesIn(tx: Queryable, id: UploadId): Promise<number> {
    const rows = await tx.query('count_files_in_upload', 'select count(*) as count from upload_files where upload_id = $1', [uuidOf(id)]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** Which of these names the upload has already. */
  async takenNames(tx: Queryable, id: UploadId, fileNames: readonly string[]): Promise<string[]> {
    const rows = await tx.query(
      'taken_file_names',
      'select file_name from upload_files where upload_id = $1 and file_name = any ($2::text[])',
      [uuidOf(id), fileNames],
    );
    return z
      .array(z.object({ file_name: z.string() }))
      .parse(rows)
      .map((row) => row.file_name);
  }

  /**
   * Adds files after the ones that are there; the caller holds the lock and has checked the names. Files whose declared SHA-256 and size the project
   * has stored are VERIFIED at once.
   */
  async addFiles(tx: Queryable, projectId: ProjectId, id: UploadId, files: readonly NewUploadFile[]): Promise<AddedFile[]> {
    const rows = await tx.query(
      'add_upload_files',
      `insert into upload_files (upload_id, ordinal, project_id, file_name, declared_bytes, declared_sha256, label, patient, site, view, status, sha256)
       select $2, coalesce((select max(ordinal) from upload_files where upload_id = $2), -1) + f.place, $1, f.file_name, f.bytes, decode(f.sha256, 'hex'),
              f.label, f.patient, f.site, f.view, case when o.sha256 is null then 'PENDING' else 'VERIFIED' end, o.sha256
         from unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
              with ordinality as f (file_name, bytes, sha256, label, patient, site, view, place)
         left join objects o on o.project_id = $1 and o.sha256 = decode(f.sha256, 'hex') and o.bytes = f.bytes
       returning ordinal, file_name, status`,
      [
        uuidOf(projectId),
        uuidOf(id),
        files.map((f) => f.fileName),
        files.map((f) => f.bytes),
        files.map((f) => f.sha256),
        files.map((f) => f.label),
        files.map((f) => f.patient),
        files.map((f) => f.site),
        files.map((f) => f.view),
      ],
    );
    return AddedFileRow.array().parse(rows);
  }

  /** The named files of an upload, in no order. */
  async filesByName(projectId: ProjectId, id: UploadId, fileNames: readonly string[]): Promise<AddedFile[]> {
    const rows = await this.db.query(
      'files_by_name',
      'select ordinal, file_name, status from upload_files where project_id = $1 and upload_id = $2 and file_name = any ($3::text[])',
      [uuidOf(projectId), uuidOf(id), fileNames],
    );
    return AddedFileRow.array().parse(rows);
  }

  async listFiles(projectId: ProjectId, id: UploadId, status: UploadFileStatus | null, page: PageRequest): Promise<Page<UploadFileRecord>> {
    const rows = await this.db.query(
      'list_upload_files',
      `select ${FILE_COLUMNS} from upload_files
        where project_id = $1 and upload_id = $2 and ($3::text is null or status = $3) and ordinal > $4
        order by ordinal
        limit $5`,
      [uuidOf(projectId), uuidOf(id), status, ordinalKey(page), page.limit + 1],
    );
    return ordinalPage(rows, page.limit, (row) => UploadFileRow.parse(row));
  }

  async countFiles(projectId: ProjectId, id: UploadId, status: UploadFileStatus | null): Promise<number> {
    const rows = await this.db.query(
      'count_upload_files',
      'select count(*) as count from upload_files where project_id = $1 and upload_id = $2 and ($3::text is null or status = $3)',
      [uuidOf(projectId), uuidOf(id), status],
    );
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** Every file of an upload that can enter a manifest, with the size of its image. */
  async verifiedFiles(projectId: ProjectId, id: UploadId): Promise<VerifiedFileRecord[]> {
    const rows = await this.db.query(
      'verified_files',
      `select f.file_name, encode(f.sha256, 'hex') as sha256, f.label, f.patient, f.site, f.view, o.width_px, o.height_px
         from upload_files f
         join objects o on o.project_id = f.project_id and o.sha256 = f.sha256
        where f.project_id = $1 and f.upload_id = $2 and f.status = 'VERIFIED'
        order by f.ordinal`,
      [uuidOf(projectId), uuidOf(id)],
    );
    return VerifiedFileRow.array().parse(rows);
  }
}
