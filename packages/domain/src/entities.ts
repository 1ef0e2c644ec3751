import { z } from 'zod';
import { idSchema } from './ids.js';

/** The parts of a dataset version. Oversampling and augmentation touch `train` only; thresholds are chosen on `val`; `test` is read once. */
export const SPLITS = ['train', 'val', 'test'] as const;
export type Split = (typeof SPLITS)[number];

export const Sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits');

/** States of an upload: files are added and sent while OPEN, then looked at by workers, then ready to be used. */
export const UPLOAD_STATUSES = ['OPEN', 'INSPECTING', 'READY', 'EXPIRED'] as const;
export type UploadStatus = (typeof UPLOAD_STATUSES)[number];

/** What the files of an upload are: images, or the one file of an import of weights. */
export const UPLOAD_PURPOSES = ['IMAGES', 'WEIGHTS'] as const;
export type UploadPurpose = (typeof UPLOAD_PURPOSES)[number];

/** States of one file of an upload. Only VERIFIED ones enter a manifest. */
export const UPLOAD_FILE_STATUSES = ['PENDING', 'VERIFIED', 'REJECTED'] as const;
export type UploadFileStatus = (typeof UPLOAD_FILE_STATUSES)[number];

export const JOB_STATUSES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export const DEVICES = ['cpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

/** What inspection finds out about a file that decodes. */
export const InspectedImageSchema = z.object({
  sha256: Sha256Schema,
  bytes: z.number().int().positive(),
  format: z.enum(['jpeg', 'png']),
  widthPx: z.number().int().positive(),
  heightPx: z.number().int().positive(),
  channels: z.number().int().min(1).max(4),
});
export type InspectedImage = z.infer<typeof InspectedImageSchema>;

/** One row of a dataset version's manifest. */
export const ManifestEntrySchema = z.object({
  fileName: z.string().min(1),
  sha256: Sha256Schema,
  label: z.string().min(1),
  patient: z.string().min(1),
  split: z.enum(SPLITS),
  widthPx: z.number().int().positive(),
  heightPx: z.number().int().positive(),
  site: z.string().optional(),
  view: z.string().optional(),
  /** Set where the image was derived from another one: two splits that share a source leak. */
  sourceSha256: Sha256Schema.optional(),
  transform: z.string().optional(),
});
export type ManifestEntry = z.infer<typeof ManifestEntrySchema>;

/** A dataset version as a worker needs it. */
export const DatasetRefSchema = z.object({
  datasetVersionId: idSchema('dsv'),
  projectId: idSchema('prj'),
  manifestKey: z.string().min(1),
  manifestSha256: Sha256Schema,
  /** Class names; a label's class index is its place here (sorted by code point). */
  classes: z.array(z.string().min(1)).min(2),
});
export type DatasetRef = z.infer<typeof DatasetRefSchema>;

/** A checkpoint as a worker needs it to go on from, or to predict with. */
export const CheckpointRefSchema = z.object({
  checkpointId: idSchema('ckp'),
  objectKey: z.string().min(1),
  sha256: Sha256Schema,
  bytes: z.number().int().positive(),
});
export type CheckpointRef = z.infer<typeof CheckpointRefSchema>;
