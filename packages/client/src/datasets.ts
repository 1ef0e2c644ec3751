import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import {
  DatasetsDocument,
  type DatasetsQuery,
  DatasetVersionDocument,
  type DatasetVersionFieldsFragment,
  FinalizeDatasetDocument,
  NewestDatasetVersionDocument,
  type OnRejected,
  SamplesDocument,
  type SamplesQuery,
  type Split,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';
import { allNodes } from './pages.js';
import { type ImportFile, type RejectedFile, type UploadedImages, uploadImages, type UploadOptions } from './upload-images.js';

/** One immutable state of a dataset: which image, label, patient and split. */
export type DatasetVersion = DatasetVersionFieldsFragment;

export type Dataset = DatasetsQuery['datasets']['nodes'][number];
export type Sample = SamplesQuery['samples']['nodes'][number];

export interface ImportDatasetOptions extends UploadOptions {
  /** An existing dataset gets a new version. */
  readonly name: string;
  readonly files: readonly ImportFile[];
  /** Shares of the samples that sum to 1, and the seed that deals whole patients to them. */
  readonly split: { readonly seed: number; readonly train: number; readonly val: number; readonly test: number };
  /** What to do when a worker rejects files: refuse (default), or leave them out. */
  readonly onRejected?: OnRejected;
  readonly onRejectedFile?: (file: RejectedFile) => void;
}

export interface ImportedSplit {
  readonly split: Split;
  readonly sampleCount: number;
  readonly patientCount: number;
  readonly labels: readonly { readonly label: string; readonly sampleCount: number }[];
}

export interface ImportedDataset extends Omit<UploadedImages, 'uploadId' | 'verifiedCount'> {
  readonly datasetId: string;
  readonly datasetVersionId: string;
  readonly name: string;
  readonly version: number;
  /** False when the dataset already had a version with these very images, labels and splits: that one is given, nothing was stored. */
  readonly isNew: boolean;
  readonly classes: readonly string[];
  readonly sampleCount: number;
  readonly patientCount: number;
  readonly splits: readonly ImportedSplit[];
}

/**
 * Makes a dataset version of images: sends what the project does not have, waits for the inspection, splits by patient. Nothing is made when it fails.
 * @throws MutationError when files were rejected and `onRejected` is FAIL, or when they cannot be split, and what uploadImages throws
 */
export async function importDataset(client: RoentgenClient, options: ImportDatasetOptions): Promise<ImportedDataset> {
  const { name, files, split, onRejected = 'FAIL', onRejectedFile, signal } = options;
  const { uploadId, verifiedCount: _, ...upload } = await uploadImages(client, files, options);
  for (const file of upload.rejected) onRejectedFile?.(file);
  const { seed: splitSeed, ...splitFractions } = split;
  const input = { uploadId, datasetName: name, splitSeed, splitFractions, onRejected, idempotencyKey: randomUUID() };
  const { finalizeDataset } = await client.execute(FinalizeDatasetDocument, { input }, { signal });
  const version = accepted(finalizeDataset, 'datasetVersion');
  return {
    datasetId: version.dataset.id,
    datasetVersionId: version.id,
    name: version.dataset.name,
    version: version.version,
    isNew: finalizeDataset.created ?? true,
    classes: version.classes,
    sampleCount: version.sampleCount,
    patientCount: version.patientCount,
    splits: splitsOf(version),
    ...upload,
  };
}

/** The counts per split and label of a version as one row per split. */
export function splitsOf(version: DatasetVersion): ImportedSplit[] {
  return (['TRAIN', 'VAL', 'TEST'] as const).map((split) => {
    const counts = version.splits.filter((count) => count.split === split);
    return {
      split,
      sampleCount: counts.reduce((sum, { sampleCount }) => sum + sampleCount, 0),
      patientCount: counts.reduce((sum, { patientCount }) => sum + patientCount, 0),
      labels: counts.map(({ label, sampleCount }) => ({ label, sampleCount })),
    };
  });
}

/** A dataset version by its id. @throws ApiError NOT_FOUND when the project has none */
export async function datasetVersion(client: RoentgenClient, id: string): Promise<DatasetVersion> {
  return (await client.execute(DatasetVersionDocument, { id })).datasetVersion;
}

/** The newest version of a named dataset; null when there is none in the project. */
export async function newestDatasetVersion(client: RoentgenClient, name: string): Promise<DatasetVersion | null> {
  return (await client.execute(NewestDatasetVersionDocument, { name })).datasetByName?.latestVersion ?? null;
}

/** Datasets of the project with their newest version, newest dataset first. */
export async function datasets(client: RoentgenClient, first = 50): Promise<readonly Dataset[]> {
  return (await client.execute(DatasetsDocument, { first })).datasets.nodes;
}

/** The images of a dataset version, or of one split of it, sorted by file name. */
export function samples(client: RoentgenClient, datasetVersionId: string, split: Split | null = null): Promise<Sample[]> {
  return allNodes(async (after) => (await client.execute(SamplesDocument, { datasetVersionId, split, after })).samples);
}
