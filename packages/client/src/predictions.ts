import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import { download } from './download.js';
import { FailedError } from './errors.js';
import {
  PredictionCsvDocument,
  PredictionJobDocument,
  type PredictionJobFieldsFragment,
  type Split,
  StartPredictionDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';
import { pollUntil } from './poll.js';

export type PredictionJob = PredictionJobFieldsFragment;

/** A model, and the split or the upload that it is to look at. */
export type PredictionRequest = { readonly modelId: string } & (
  { readonly datasetVersionId: string; readonly split: Split } | { readonly uploadId: string }
);

export interface PredictOptions {
  readonly onProgress?: (job: PredictionJob) => void;
  readonly signal?: AbortSignal;
}

/** Starts a prediction job and waits for its end, good or bad. @throws MutationError when it cannot be started */
export async function predict(client: RoentgenClient, request: PredictionRequest, options: PredictOptions = {}): Promise<PredictionJob> {
  const { onProgress, signal } = options;
  const { startPrediction } = await client.execute(
    StartPredictionDocument,
    { input: { ...request, idempotencyKey: randomUUID() } },
    { signal },
  );
  const { id } = accepted(startPrediction, 'job');
  const ask = () => predictionJob(client, id, signal);
  return pollUntil(
    ask,
    ({ status }) => status === 'SUCCEEDED' || status === 'FAILED',
    (job) => onProgress?.(job),
    signal,
  );
}

/** @throws ApiError NOT_FOUND when the project has no such job */
export async function predictionJob(client: RoentgenClient, id: string, signal?: AbortSignal): Promise<PredictionJob> {
  return (await client.execute(PredictionJobDocument, { id }, { signal })).predictionJob;
}

/** The predictions of a finished job: a header, then one line per image. @throws FailedError (NOT_FINISHED) while the job runs */
export async function downloadCsv(client: RoentgenClient, jobId: string, signal?: AbortSignal): Promise<string> {
  const { predictionJob: job } = await client.execute(PredictionCsvDocument, { id: jobId }, { signal });
  if (job.csvUrl == null) throw new FailedError('NOT_FINISHED', `${jobId} is ${job.status}: its CSV exists once it has SUCCEEDED.`);
  return (await download(job.csvUrl, `${jobId}'s CSV`, signal)).text();
}
