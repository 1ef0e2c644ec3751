import { z } from 'zod';
import {
  SPLITS,
  idColumn,
  uuidOf,
  type DatasetId,
  type DatasetVersionId,
  type ManifestEntry,
  type ProjectId,
  type Split,
  type TokenId,
  type UploadId,
} from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { ordinalKey, ordinalPage, timeKey, timePage, type Page, type PageRequest } from './page.js';

const DatasetRow = z
  .object({ id: idColumn('ds'), name: z.string(), created_at: z.string() })
  .transform((row) => ({ id: row.id, name: row.name, createdAt: row.created_at }));
export type DatasetRecord = z.infer<typeof DatasetRow>;

const VersionRow = z
  .object({
    id: idColumn('dsv'),
    dataset_id: idColumn('ds'),
    version: z.number(),
    upload_id: idColumn('upl'),
    manifest_sha256: z.string(),
    classes: z.array(z.string()),
    split_seed: z.number(),
    split_fractions: z.tuple([z.number(), z.number(), z.number()]),
    sample_count: z.number(),
    patient_count: z.number(),
    created_at: z.string(),
  })
  .transform((row) => ({
    id: row.id,
    datasetId: row.dataset_id,
    version: row.version,
    uploadId: row.upload_id,
    manifestSha256: row.manifest_sha256,
    classes: row.classes,
    splitSeed: row.split_seed,
    splitFractions: { train: row.split_fractions[0], val: row.split_fractions[1], test: row.split_fractions[2] },
    sampleCount: row.sample_count,
    patientCount: row.patient_count,
    createdAt: row.created_at,
  }));
export type DatasetVersionRecord = z.infer<typeof VersionRow>;

const SampleRow = z
  .object({
    ordinal: z.number(),
    file_name: z.string(),
    sha256: z.string(),
    split: z.enum(SPLITS),
    label: z.string(),
    patient: z.string(),
    site: z.string().nullable(),
    view: z.string().nullable(),
  })
  .transform(({ file_name: fileName, ...row }) => ({ ...row, fileName }));
export type SampleRecord = z.infer<typeof SampleRow>;

const SplitCountRow = z
  .object({
    dataset_version_id: idColumn('dsv'),
    split: z.enum(SPLITS),
    label: z.string(),
    sample_count: z.number(),
    patient_count: z.number(),
  })
  .transform((row) => ({
    datasetVersionId: row.dataset_version_id,
    split: row.split,
    label: row.label,
    sampleCount: row.sample_count,
    patientCount: row.patient_count,
  }));
export type SplitCountRecord = z.infer<typeof SplitCountRow>;

export interface NewDatasetVersion {
  readonly id: DatasetVersionId;
  readonly projectId: ProjectId;
  readonly datasetId: DatasetId;
  readonly uploadId: UploadId;
  readonly manifestSha256: string;
  readonly manifestKey: string;
  readonly classes: readonly string[];
  readonly splitSeed: number;
  readonly splitFractions: { readonly train: number; readonly val: number; readonly test: number };
  readonly patientCount: number;
  readonly createdBy: TokenId;
}

const VERSION_COLUMNS = `id, dataset_id, version, upload_id, encode(manifest_sha256, 'hex') as manifest_sha256, classes, split_seed, split_fractions,
  sample_count, patient_count, created_at`;

/** Datasets, their immutable versions and the samples of those. */
export class DatasetStore {
  constructor(private readonly db: Database) {}

  /** The dataset of that name, made when there is none; locked until the end of the transaction, so that versions are counted in turn. */
  async ensure(tx: Queryable, dataset: { id: DatasetId; projectId: ProjectId; name: string; createdBy: TokenId }): Promise<DatasetRecord> {
    const rows = await tx.query(
      'ensure_dataset',
      `insert into datasets (id, project_id, name, created_by) values ($1, $2, $3, $4)
       on conflict (project_id, name) do update set name = excluded.name
       returning id, name, created_at`,
      [uuidOf(dataset.id), uuidOf(dataset.projectId), dataset.name, uuidOf(dataset.createdBy)],
    );
    return DatasetRow.parse(rows[0]);
  }

  async findVersionByManifest(tx: Queryable, datasetId: DatasetId, manifestSha256: string): Promise<DatasetVersionRecord | null> {
    const rows = await tx.query(
      'find_version_by_manifest',
      `select ${VERSION_COLUMNS} from dataset_versions where dataset_id = $1 and manifest_sha256 = decode($2, 'hex')`,
      [uuidOf(datasetId), manifestSha256],
    );
    return VersionRow.nullable().parse(rows[0] ?? null);
  }

  /** Adds the next version with its samples, numbered in the order of the manifest; the caller holds the dataset's lock. */
  async addVersion(tx: Queryable, version: NewDatasetVersion, entries: readonly ManifestEntry[]): Promise<void> {
    const { train, val, test } = version.splitFractions;
    await tx.query(
      'add_dataset_version',
      `insert into dataset_versions (id, project_id, dataset_id, version, upload_id, manifest_sha256, manifest_key, classes, split_seed, split_fractions,
                                     sample_count, patient_count, created_by)
       values ($1, $2, $3, coalesce((select max(version) from dataset_versions where dataset_id = $3), 0) + 1, $4, decode($5, 'hex'), $6, $7, $8, $9, $10, $11, $12)`,
      [
        uuidOf(version.id),
        uuidOf(version.projectId),
        uuidOf(version.datasetId),
        uuidOf(version.uploadId),
        version.manifestSha256,
        version.manifestKey,
        version.classes,
        version.splitSeed,
        [train, val, test],
        entries.length,
        version.patientCount,
        uuidOf(version.createdBy),
      ],
    );
    await this.addSamples(tx, version, entries);
  }

  async byIds(projectId: ProjectId, ids: readonly DatasetId[]): Promise<DatasetRecord[]> {
    const rows = await this.db.query(
      'datasets_by_ids',
      'select id, name, created_at from datasets where project_id = $1 and id = any ($2::uuid[])',
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    return DatasetRow.array().parse(rows);
  }

  async findByName(projectId: ProjectId, name: string): Promise<DatasetRecord | null> {
    const rows = await this.db.query('dataset_by_name', 'select id, name, created_at from datasets where project_id = $1 and name = $2', [
      uuidOf(projectId),
      name,
    ]);
    return DatasetRow.nullable().parse(rows[0] ?? null);
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<DatasetRecord>> {
    const rows = await this.db.query(
      'list_datasets',
      `select id, name, created_at, created_at::text as key_at, id as key_id
         from datasets
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => DatasetRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_datasets', 'select count(*) as count from datasets where project_id = $1', [uuidOf(projectId)]);
    return CountRow.parse(rows[0]).count;
  }

  async versionsByIds(projectId: ProjectId, ids: readonly DatasetVersionId[]): Promise<DatasetVersionRecord[]> {
    const rows = await this.db.query(
      'versions_by_ids',
      `select ${VERSION_COLUMNS} from dataset_versions where project_id = $1 and id = any ($2::uuid[])`,
      [uuidOf(projectId), ids.map(uuidOf)],
    );
    return VersionRow.array().parse(rows);
  }

  /** The newest version of each dataset that has one. */
  async latestVersions(projectId: ProjectId, datasetIds: readonly DatasetId[]): Promise<DatasetVersionRecord[]> {
    const rows = await this.db.query(
      'latest_versions',
      `select v.* from unnest($2::uuid[]) as d (id)
        cross join lateral (select ${VERSION_COLUMNS} from dataset_versions where project_id = $1 and dataset_id = d.id order by version desc limit 1) v`,
      [uuidOf(projectId), datasetIds.map(uuidOf)],
    );
    return VersionRow.array().parse(rows);
  }

  async listVersions(projectId: ProjectId, datasetId: DatasetId, page: PageRequest): Promise<Page<DatasetVersionRecord>> {
    const rows = await this.db.query(
      'list_dataset_versions',
      `select ${VERSION_COLUMNS}, created_at::text as key_at, id as key_id
         from dataset_versions
        where project_id = $1 and dataset_id = $2 and ($3::timestamptz is null or (created_at, id) < ($3::timestamptz, $4::uuid))
        order by created_at desc, id desc
        limit $5`,
      [uuidOf(projectId), uuidOf(datasetId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => VersionRow.parse(row));
  }

  async countVersions(projectId: ProjectId, datasetId: DatasetId): Promise<number> {
    const rows = await this.db.query(
      'count_dataset_versions',
      'select count(*) as count from dataset_versions where project_id = $1 and dataset_id = $2',
      [uuidOf(projectId), uuidOf(datasetId)],
    );
    return CountRow.parse(rows[0]).count;
  }

  /** Images and patients by version, split and label, in that order. */
  async splitCounts(projectId: ProjectId, versionIds: readonly DatasetVersionId[]): Promise<SplitCountRecord[]> {
    const rows = await this.db.query(
      'split_counts',
      `select dataset_version_id, split, label, count(*) as sample_count, count(distinct patient) as patient_count
         from samples
        where project_id = $1 and dataset_version_id = any ($2::uuid[])
        group by dataset_version_id, split, label
        order by dataset_version_id, array_position(array['train', 'val', 'test'], split), label collate "C"`,
      [uuidOf(projectId), versionIds.map(uuidOf)],
    );
    return SplitCountRow.array().parse(rows);
  }

  async listSamples(
    projectId: ProjectId,
    versionId: DatasetVersionId,
    split: Split | null,
    page: PageRequest,
  ): Promise<Page<SampleRecord>> {
    const rows = await this.db.query(
      'list_samples',
      `select ordinal, file_name, encode(sha256, 'hex') as sha256, split, label, patient, site, view
         from samples
        where project_id = $1 and dataset_version_id = $2 and ($3::text is null or split = $3) and ordinal > $4
        order by ordinal
        limit $5`,
      [uuidOf(projectId), uuidOf(versionId), split, ordinalKey(page), page.limit + 1],
    );
    return ordinalPage(rows, page.limit, (row) => SampleRow.parse(row));
  }

  async countSamples(projectId: ProjectId, versionId: DatasetVersionId, split: Split | null): Promise<number> {
    const rows = await this.db.query(
      'count_samples',
      'select count(*) as count from samples where project_id = $1 and dataset_version_id = $2 and ($3::text is null or split = $3)',
      [uuidOf(projectId), uuidOf(versionId), split],
    );
    return CountRow.parse(rows[0]).count;
  }

  private async addSamples(tx: Queryable, version: NewDatasetVersion, entries: readonly ManifestEntry[]): Promise<void> {
    await tx.query(
      'add_samples',
      `insert into samples (dataset_version_id, ordinal, project_id, file_name, sha256, label, patient, site, view, split)
       select $1, s.place - 1, $2, s.file_name, decode(s.sha256, 'hex'), s.label, s.patient, s.site, s.view, s.split
         from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
              with ordinality as s (file_name, sha256, label, patient, site, view, split, place)`,
      [
        uuidOf(version.id),
        uuidOf(version.projectId),
        entries.map((e) => e.fileName),
        entries.map((e) => e.sha256),
        entries.map((e) => e.label),
        entries.map((e) => e.patient),
        entries.map((e) => e.site ?? null),
        entries.map((e) => e.view ?? null),
        entries.map((e) => e.split),
      ],
    );
  }
}

const CountRow = z.object({ count: z.number() });
