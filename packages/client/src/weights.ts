import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import {
  AddUploadFilesDocument,
  CreateUploadDocument,
  ImportWeightsDocument,
  type ImportWeightsInput,
  WeightSetDocument,
  type WeightSetFieldsFragment,
  WeightSetsDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';
import { pollUntil } from './poll.js';
import { uploadFile } from './upload-file.js';

export type WeightSet = WeightSetFieldsFragment;

/** A file of weights to send; its content is read when it is sent. */
export interface WeightsFile {
  readonly fileName: string;
  readonly bytes: number;
  /** 64 hex digits; a worker refuses another content. */
  readonly sha256: string;
  readonly read: () => Promise<Uint8Array<ArrayBuffer>>;
}

const SEND_AT_LEAST_MS = 60_000;
/** A slower line than that is taken for broken. */
const SLOWEST_BYTES_PER_MS = 50;

/** Sends a file of weights; the id that importWeights takes. @throws TransferError, MutationError, and what RoentgenClient.execute throws */
export async function uploadWeights(client: RoentgenClient, file: WeightsFile, signal?: AbortSignal): Promise<string> {
  const key = () => ({ idempotencyKey: randomUUID() });
  const created = await client.execute(CreateUploadDocument, { input: { purpose: 'WEIGHTS', ...key() } }, { signal });
  const { id: uploadId } = accepted(created.createUpload, 'upload');
  const { read, ...facts } = file;
  const added = await client.execute(AddUploadFilesDocument, { input: { uploadId, files: [facts], ...key() } }, { signal });
  const [target] = accepted(added.addUploadFiles, 'files');
  if (target?.uploadUrl != null) {
    const timeoutMs = SEND_AT_LEAST_MS + Math.ceil(file.bytes / SLOWEST_BYTES_PER_MS);
    await uploadFile(target.uploadUrl, await read(), { timeoutMs, ...(signal && { signal }) });
  }
  return uploadId;
}

/**
 * Imports a file that was uploaded, or has a worker fetch it, and waits until the set is READY or FAILED: look at its `status`.
 * @throws MutationError when it cannot be begun
 */
export async function importWeights(
  client: RoentgenClient,
  input: Omit<ImportWeightsInput, 'idempotencyKey'>,
  options: { readonly onProgress?: (weightSet: WeightSet) => void; readonly signal?: AbortSignal } = {},
): Promise<WeightSet> {
  const { onProgress, signal } = options;
  const begun = await client.execute(ImportWeightsDocument, { input: { ...input, idempotencyKey: randomUUID() } }, { signal });
  const { id } = accepted(begun.importWeights, 'weightSet');
  return pollUntil(
    () => weightSet(client, id, signal),
    ({ status }) => status !== 'IMPORTING',
    (answer) => onProgress?.(answer),
    signal,
  );
}

/** @throws ApiError NOT_FOUND when the project has no such set */
export async function weightSet(client: RoentgenClient, id: string, signal?: AbortSignal): Promise<WeightSet> {
  return (await client.execute(WeightSetDocument, { id }, { signal })).weightSet;
}

/** Weight sets of the project, newest first. */
export async function weightSets(client: RoentgenClient, first = 50): Promise<readonly WeightSet[]> {
  return (await client.execute(WeightSetsDocument, { first })).weightSets.nodes;
}
