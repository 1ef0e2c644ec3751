import type { RoentgenClient } from './client.js';
import { download } from './download.js';
import { FailedError } from './errors.js';
import { ModelFilesDocument, ModelOfRunDocument } from './generated/graphql.js';

/** A model as the two files that it is: its tensors, and the description that says what they are. */
export interface DownloadedModel {
  readonly id: string;
  readonly name: string;
  /** A safetensors file. */
  readonly tensors: Uint8Array;
  /** Parsed JSON, not checked. */
  readonly description: unknown;
}

export interface DownloadModelOptions {
  /** Bytes so far, and in all where the store says. */
  readonly onProgress?: (doneBytes: number, totalBytes: number | null) => void;
  readonly signal?: AbortSignal;
}

/** The model that a finished run became. @throws FailedError (NOT_FINISHED) where it has none, ApiError NOT_FOUND where there is no such run */
export async function modelOfRun(client: RoentgenClient, runId: string, signal?: AbortSignal): Promise<string> {
  const { trainingRun: run } = await client.execute(ModelOfRunDocument, { id: runId }, { signal });
  if (run.model == null) throw new FailedError('NOT_FINISHED', `${runId} is ${run.status}: it has a model once it has SUCCEEDED.`);
  return run.model.id;
}

/** @throws ApiError NOT_FOUND when the project has no such model, TransferError */
export async function downloadModel(client: RoentgenClient, id: string, options: DownloadModelOptions = {}): Promise<DownloadedModel> {
  const { onProgress, signal } = options;
  const { model } = await client.execute(ModelFilesDocument, { id }, { signal });
  const description: unknown = await (await download(model.files.descriptionUrl, `the description of ${id}`, signal)).json();
  const response = await download(model.files.tensorsUrl, id, signal);
  const length = Number(response.headers.get('content-length'));
  const tensors = await readBody(response, (doneBytes) => onProgress?.(doneBytes, length > 0 ? length : null));
  return { id: model.id, name: model.name, tensors, description };
}

async function readBody({ body }: Response, onProgress: (doneBytes: number) => void): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let doneBytes = 0;
  for await (const piece of body ?? []) {
    pieces.push(piece);
    doneBytes += piece.length;
    onProgress(doneBytes);
  }
  return Buffer.concat(pieces);
}
