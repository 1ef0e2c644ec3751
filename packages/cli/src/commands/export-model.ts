import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { downloadModel, modelOfRun, type DownloadedModel, type RoentgenClient } from '@roentgen/client';
import { UsageError } from '../failure.js';
import type { Output } from '../output.js';
import { type CommandContext, connect } from '../session.js';
import { writeOutput, writeOutputFolder } from '../whole-file.js';

export const MODEL_FORMATS = ['onnx', 'savedmodel', 'safetensors'] as const;
export type ModelFormat = (typeof MODEL_FORMATS)[number];

export interface ExportModelOptions {
  readonly format: ModelFormat;
  readonly out: string;
}

/** `roentgen model export`: a model as a file (or folder) for other programs, converted on this machine. */
export async function exportModelCommand(context: CommandContext, id: string, { format, out }: ExportModelOptions): Promise<void> {
  const { output, signal } = context;
  if (format === 'savedmodel') await assertVacant(out);
  const client = connect(context);
  const modelId = id.startsWith('run_') ? await modelOfRun(client, id, signal) : id;
  const files = await convert(await fetchModel(client, modelId, output, signal), format);
  const [single] = [...files.values()];
  if (format === 'savedmodel') await writeOutputFolder(out, files);
  else await writeOutput(out, single!);
  const paths = [...files.keys()].map((path) => join(out, path));
  const bytes = [...files.values()].reduce((sum, content) => sum + content.length, 0);
  output.result({ model: modelId, format, out, files: paths, bytes }, () => `${modelId} as ${format} in ${out} (${megabytes(bytes)})`);
}

async function fetchModel(client: RoentgenClient, id: string, output: Output, signal: AbortSignal): Promise<DownloadedModel> {
  let bar: ReturnType<Output['progress']> | undefined;
  const onProgress = (doneBytes: number, totalBytes: number | null) => {
    if (totalBytes === null) return;
    bar ??= output.progress('download', totalBytes);
    bar.update(doneBytes);
  };
  return downloadModel(client, id, { onProgress, signal }).finally(() => bar?.end());
}

/** The files of an export by their paths below `--out`; a single one has the path '' . @throws CheckpointError when the model's files are damaged */
async function convert(model: DownloadedModel, format: ModelFormat): Promise<ReadonlyMap<string, Uint8Array>> {
  // Only for this command: no other needs to know what a network is.
  const training = await import('@roentgen/training');
  const decoded = training.decodeModel(model.tensors, model.description);
  const network = training.networkOf(decoded);
  const metadata = { ...training.exportMetadata(decoded.description), model: model.id, name: model.name };
  switch (format) {
    case 'onnx': {
      const { exportOnnx } = await import('@roentgen/onnx');
      return new Map([['', exportOnnx(network, metadata)]]);
    }
    case 'safetensors':
      return new Map([['', training.exportSafetensors(network, metadata)]]);
    case 'savedmodel':
      return training.exportSavedModel(network, metadata);
  }
}

/** A SavedModel is a folder: files of another one in it would be taken for its own. @throws UsageError */
async function assertVacant(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new UsageError(`--out ${folder} is not a folder that can be read: a savedmodel is written as a folder.`);
  });
  if (found.length > 0) throw new UsageError(`--out ${folder} is not empty: a savedmodel is written as a folder of its own.`);
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
