import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import { mapConcurrently } from './concurrency.js';
import { FailedError } from './errors.js';
import {
  AddUploadFilesDocument,
  type AddUploadFilesMutation,
  CompleteUploadDocument,
  CreateUploadDocument,
  RejectedFilesDocument,
  type UploadFieldsFragment,
  UploadProgressDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';
import { allNodes } from './pages.js';
import { pollUntil } from './poll.js';
import { uploadFile } from './upload-file.js';

/** A file to send; its content is read when its turn comes, so that a folder of any size fits in memory. */
export interface ImportFile {
  /** What it is called in the dataset: a path with forward slashes. */
  readonly fileName: string;
  readonly label?: string;
  readonly patient?: string;
  /** 64 hex digits. Only saves the transfer of what the project already has: the server hashes what it gets. */
  readonly sha256: string;
  readonly bytes: number;
  readonly read: () => Promise<Uint8Array<ArrayBuffer>>;
}

/** A file that a worker looked at and could not use. */
export interface RejectedFile {
  readonly fileName: string;
  readonly code: string;
  readonly message: string;
}

export interface UploadedImages {
  readonly uploadId: string;
  readonly verifiedCount: number;
  /** Files whose bytes the project already had. */
  readonly alreadyStoredCount: number;
  readonly sentCount: number;
  readonly sentBytes: number;
  readonly rejected: readonly RejectedFile[];
}

/** How far an upload is; both phases count all files. */
export interface UploadProgress {
  readonly phase: 'send' | 'inspect';
  readonly done: number;
  readonly total: number;
}

/** What has been sent, kept somewhere that survives the process: with it, a repeated upload of the same files goes on where the last one ended. */
export interface UploadJournal {
  /** 1 to 100 characters; the same for the same files, and never for others. */
  readonly key: string;
  wasSent(uploadId: string, ordinal: number): boolean;
  markSent(uploadId: string, ordinal: number): void;
}

export interface UploadOptions {
  /** Transfers at a time; default 8. */
  readonly concurrency?: number;
  readonly onProgress?: (progress: UploadProgress) => void;
  /** Without one, a repeated upload sends again what no worker has looked at yet. */
  readonly journal?: UploadJournal;
  readonly signal?: AbortSignal;
}

type UploadTarget = NonNullable<AddUploadFilesMutation['addUploadFiles']['files']>[number];

const BATCH_SIZE = 500;
const CONCURRENCY = 8;

/**
 * Sends the images that the project does not have yet and waits until workers have looked at all of them.
 * @throws TransferError, FailedError (UPLOAD_EXPIRED), MutationError, and what RoentgenClient.execute throws
 */
export async function uploadImages(
  client: RoentgenClient,
  files: readonly ImportFile[],
  options: UploadOptions = {},
): Promise<UploadedImages> {
  const { signal } = options;
  const { id: uploadId, status } = await openUpload(client, options);
  const sent = status === 'OPEN' ? await registerAndSend(client, uploadId, files, options) : NOTHING_SENT;
  const { verifiedCount } = await inspected(client, uploadId, options);
  const rejected = await rejectedFiles(client, uploadId, signal);
  return { uploadId, verifiedCount, alreadyStoredCount: files.length - sent.sentCount, ...sent, rejected };
}

interface Sent {
  sentCount: number;
  sentBytes: number;
}

const NOTHING_SENT: Readonly<Sent> = { sentCount: 0, sentBytes: 0 };

/** A new upload, or the one that an interrupted call with the same journal had begun. */
async function openUpload(client: RoentgenClient, { journal, signal }: UploadOptions): Promise<UploadFieldsFragment> {
  const create = async (idempotencyKey: string) =>
    accepted((await client.execute(CreateUploadDocument, { input: { idempotencyKey } }, { signal })).createUpload, 'upload');
  if (journal === undefined) return create(randomUUID());
  const upload = await create(`upload-${journal.key}`);
  // Of one that ended badly nothing can be gone on with.
  const isSpent = upload.status === 'EXPIRED' || (upload.status === 'READY' && upload.rejectedCount > 0);
  return isSpent ? create(randomUUID()) : upload;
}

/** Batch by batch, so that no signed URL grows old before its file's turn comes. */
async function registerAndSend(
  client: RoentgenClient,
  uploadId: string,
  files: readonly ImportFile[],
  options: UploadOptions,
): Promise<Sent> {
  const { onProgress, signal } = options;
  const sent: Sent = { ...NOTHING_SENT };
  for (let first = 0; first < files.length; first += BATCH_SIZE) {
    const batch = files.slice(first, first + BATCH_SIZE);
    const targets = await register(client, uploadId, batch, first, options);
    await sendBatch(
      uploadId,
      batch,
      targets,
      sent,
      (done) => onProgress?.({ phase: 'send', done: first + done, total: files.length }),
      options,
    );
  }
  const completed = await client.execute(CompleteUploadDocument, { input: { uploadId, idempotencyKey: randomUUID() } }, { signal });
  accepted(completed.completeUpload, 'upload');
  return sent;
}

/** Names files to the server, which says which of them it wants and where to; in the order given. */
async function register(
  client: RoentgenClient,
  uploadId: string,
  batch: readonly ImportFile[],
  first: number,
  { journal, signal }: UploadOptions,
): Promise<readonly UploadTarget[]> {
  const files = batch.map(({ read: _, ...facts }) => facts);
  // The key of a batch names the upload: an upload that took the place of an expired one gets its files anew.
  const idempotencyKey = journal === undefined ? randomUUID() : `files-${uploadId}-${first}`;
  const added = await client.execute(AddUploadFilesDocument, { input: { uploadId, files, idempotencyKey } }, { signal });
  return accepted(added.addUploadFiles, 'files');
}

async function sendBatch(
  uploadId: string,
  batch: readonly ImportFile[],
  targets: readonly UploadTarget[],
  sent: Sent,
  onSent: (done: number) => void,
  { concurrency = CONCURRENCY, journal, signal }: UploadOptions,
): Promise<void> {
  let done = 0;
  const sendOne = async (file: ImportFile, index: number): Promise<void> => {
    const target = targets[index];
    if (target?.uploadUrl != null && journal?.wasSent(uploadId, target.ordinal) !== true) {
      const bytes = await file.read();
      await uploadFile(target.uploadUrl, bytes, { ...(signal && { signal }) });
      journal?.markSent(uploadId, target.ordinal);
      sent.sentCount++;
      sent.sentBytes += bytes.byteLength;
    }
    onSent(++done);
  };
  await mapConcurrently(batch, concurrency, sendOne, signal);
}

/** Waits until no file is left to look at. @throws FailedError when the upload ended without that */
async function inspected(client: RoentgenClient, uploadId: string, { onProgress, signal }: UploadOptions): Promise<UploadFieldsFragment> {
  const ask = async (): Promise<UploadFieldsFragment> =>
    (await client.execute(UploadProgressDocument, { id: uploadId }, { signal })).upload;
  const show = ({ fileCount, pendingCount }: UploadFieldsFragment) =>
    onProgress?.({ phase: 'inspect', done: fileCount - pendingCount, total: fileCount });
  const upload = await pollUntil(ask, ({ status }) => status === 'READY' || status === 'EXPIRED', show, signal);
  if (upload.status === 'READY') return upload;
  throw new FailedError(
    'UPLOAD_EXPIRED',
    `The upload ${uploadId} expired before it was complete. Start the import again: files that were verified are not sent twice.`,
  );
}

async function rejectedFiles(client: RoentgenClient, uploadId: string, signal: AbortSignal | undefined): Promise<RejectedFile[]> {
  const nodes = await allNodes(async (after) => (await client.execute(RejectedFilesDocument, { uploadId, after }, { signal })).uploadFiles);
  return nodes.map(({ fileName, errorCode, errorMessage }) => ({
    fileName,
    code: errorCode ?? 'REJECTED',
    message: errorMessage ?? 'no reason given',
  }));
}
