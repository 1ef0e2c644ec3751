import { FailedError, type PredictionJob, predict, type RoentgenClient, uploadImages } from '@roentgen/client';
import { UsageError } from '../failure.js';
import { findDatasetVersion } from '../find-dataset.js';
import { collectFiles, listImages } from '../import/collect-files.js';
import type { Output } from '../output.js';
import { type CommandContext, connect } from '../session.js';
import { writeCsv } from './export.js';
import { uploadProgress } from './import.js';

export interface PredictOptions {
  readonly model: string;
  readonly dataset?: string;
  readonly split: 'train' | 'val' | 'test';
  readonly images?: string;
  readonly out?: string;
  readonly concurrency: number;
}

export type PredictionSource =
  { readonly datasetVersionId: string; readonly split: 'TRAIN' | 'VAL' | 'TEST' } | { readonly uploadId: string };

/** `roentgen predict`: a model over a split or a folder of images. */
export async function predictCommand(context: CommandContext, options: PredictOptions): Promise<void> {
  if ((options.dataset === undefined) === (options.images === undefined))
    throw new UsageError('Name what to predict: either --dataset (with --split) or --images, not both.');
  const client = connect(context);
  const source =
    options.images === undefined
      ? await splitSource(client, options)
      : await folderSource(client, options.images, options.concurrency, context);
  const job = await runPrediction(client, options.model, source, context);
  const rows = options.out === undefined ? job.imageCount : await writeCsv(client, job.id, options.out, context.signal);
  context.output.result({ job: job.id, status: job.status, images: rows, csv: options.out ?? null }, () =>
    options.out === undefined
      ? `${rows} images predicted; write them with: roentgen export ${job.id} --out predictions.csv`
      : `${rows} predictions in ${options.out}`,
  );
}

async function splitSource(client: RoentgenClient, { dataset = '', split }: PredictOptions): Promise<PredictionSource> {
  const version = await findDatasetVersion(client, dataset);
  return { datasetVersionId: version.id, split: ({ train: 'TRAIN', val: 'VAL', test: 'TEST' } as const)[split] };
}

async function folderSource(
  client: RoentgenClient,
  directory: string,
  concurrency: number,
  { output, signal }: CommandContext,
): Promise<PredictionSource> {
  const names = await listImages(directory).catch(() => {
    throw new UsageError(`${directory} is not a folder that can be read.`);
  });
  if (names.length === 0) throw new UsageError(`${directory} has no image: expected files that end in .png, .jpg or .jpeg.`);
  const hashing = output.progress('hash', names.length);
  const rows = names.map((fileName, index) => ({ line: index + 1, fileName }));
  const { files, problems } = await collectFiles(directory, rows, concurrency, (done) => hashing.update(done), signal).finally(() =>
    hashing.end(),
  );
  for (const { message } of problems) output.note(`left out: ${message}`);
  const progress = uploadProgress(output);
  const upload = await uploadImages(client, files, { concurrency, signal, onProgress: progress.update }).finally(progress.end);
  for (const file of upload.rejected) output.note(`rejected ${file.fileName}: ${file.message} (${file.code})`);
  if (upload.verifiedCount === 0)
    throw new UsageError(`None of the ${names.length} files in ${directory} is an image that can be predicted.`);
  return { uploadId: upload.uploadId };
}

/** Runs a job to its end with a progress bar. @throws FailedError (exit code 4) */
export async function runPrediction(
  client: RoentgenClient,
  modelId: string,
  source: PredictionSource,
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<PredictionJob> {
  let bar: ReturnType<Output['progress']> | undefined;
  const job = await predict(
    client,
    { modelId, ...source },
    {
      signal,
      onProgress: (running) => {
        bar ??= output.progress('predict', running.imageCount);
        bar.update(running.doneCount);
      },
    },
  ).finally(() => bar?.end());
  if (job.status !== 'SUCCEEDED')
    throw new FailedError(
      job.statusCode ?? 'PREDICTION_FAILED',
      `${job.id} ${job.status}${job.statusMessage == null ? '' : `: ${job.statusMessage}`}`,
    );
  return job;
}
