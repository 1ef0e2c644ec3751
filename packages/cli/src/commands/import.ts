import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { type ImportedDataset, importDataset, type RoentgenClient, type UploadProgress } from '@roentgen/client';
import { cacheDirectory } from '@roentgen/config';
import { UsageError } from '../failure.js';
import { collectFiles, listImages } from '../import/collect-files.js';
import { ImportJournal } from '../import/import-journal.js';
import { type LabelColumns, type LabelProblem, parseLabels } from '../import/label-file.js';
import type { SplitFractions } from '../options.js';
import { type Output, table } from '../output.js';
import { type CommandContext, connect } from '../session.js';

export interface ImportOptions {
  readonly labels: string;
  readonly name: string;
  readonly fileColumn: string;
  readonly labelColumn: string;
  readonly patientColumn: string;
  readonly splitSeed: number;
  readonly fractions: SplitFractions;
  readonly skipBad?: boolean;
  readonly concurrency: number;
}

/** How many lines of a kind are printed before "and n more". */
const SHOWN_AT_MOST = 50;

/** `roentgen import`: a folder of images and a label file become a dataset version. */
export async function importCommand(context: CommandContext, directory: string, options: ImportOptions): Promise<void> {
  const { dataset, ignored, skippedRows } = await importFolder(connect(context), directory, options, context);
  context.output.result({ ...dataset, ignoredFiles: ignored, skippedRows }, () => describe(dataset));
}

export interface FolderImport {
  readonly dataset: ImportedDataset;
  /** Images in the folder that no row names. */
  readonly ignored: readonly string[];
  readonly skippedRows: readonly LabelProblem[];
}

/** The same for callers that have a client. @throws UsageError listing every bad row, before anything is sent */
export async function importFolder(
  client: RoentgenClient,
  directory: string,
  options: ImportOptions,
  context: ImportContext,
): Promise<FolderImport> {
  const { output, signal, environment } = context;
  const { files, ignored, skippedRows } = await readFolder(directory, options, context);
  const journal = new ImportJournal(cacheDirectory(environment), { url: client.url, name: options.name }, files);
  const progress = uploadProgress(output);
  const dataset = await importDataset(client, {
    name: options.name,
    files,
    split: { seed: options.splitSeed, ...options.fractions },
    onRejected: options.skipBad === true ? 'SKIP' : 'FAIL',
    concurrency: options.concurrency,
    journal,
    signal,
    onProgress: progress.update,
    onRejectedFile: (file) => output.note(`rejected ${file.fileName}: ${file.message} (${file.code})`),
  }).finally(progress.end);
  journal.remove();
  return { dataset, ignored, skippedRows };
}

type ImportContext = Pick<CommandContext, 'output' | 'signal' | 'environment'>;

/** Labels and files as they are on this machine. @throws UsageError */
async function readFolder(directory: string, options: ImportOptions, { output, signal }: ImportContext) {
  await requireFolder(directory);
  const labelPath = await findLabels(directory, options.labels);
  const columns: LabelColumns = { file: options.fileColumn, label: options.labelColumn, patient: options.patientColumn };
  const labels = parseLabels(await readFile(labelPath, 'utf8'), labelPath, columns);
  const hashing = output.progress('hash', labels.rows.length);
  const onHashed = (done: number) => hashing.update(done);
  const { files, problems } = await collectFiles(directory, labels.rows, options.concurrency, onHashed, signal).finally(() =>
    hashing.end(),
  );
  const skippedRows = [...labels.problems, ...problems].sort((a, b) => a.line - b.line);
  reportBadRows(output, labelPath, skippedRows, options.skipBad === true);
  if (files.length === 0) throw new UsageError(`${labelPath} names no image: expected one line per image below the header.`);
  const named = new Set(labels.rows.map((row) => row.fileName));
  const ignored = (await listImages(directory)).filter((path) => !named.has(path));
  if (ignored.length > 0) output.note(`${count(ignored.length, 'image')} without a label ignored: ${shortList(ignored)}`);
  return { files, ignored, skippedRows };
}

async function requireFolder(directory: string): Promise<void> {
  const facts = await stat(directory).catch(() => null);
  if (facts === null || !facts.isDirectory())
    throw new UsageError(`${directory} is not a folder: expected the folder that the file names of the label file start from.`);
}

/** `--labels` as given, else inside the folder. */
async function findLabels(directory: string, path: string): Promise<string> {
  for (const candidate of isAbsolute(path) ? [path] : [path, join(directory, path)]) {
    if ((await stat(candidate).catch(() => null))?.isFile() === true) return candidate;
  }
  throw new UsageError(`There is no label file ${path}, neither here nor in ${directory}.`);
}

function reportBadRows(output: Output, labelPath: string, problems: readonly LabelProblem[], skip: boolean): void {
  if (problems.length === 0) return;
  if (!skip) {
    const issues = problems.map(({ line, message }) => ({ field: `${labelPath}:${line}`, message }));
    throw new UsageError(
      `${count(problems.length, 'row')} of ${labelPath} cannot be used. Correct them, or leave them out with --skip-bad.`,
      issues,
    );
  }
  for (const { line, message } of problems.slice(0, SHOWN_AT_MOST)) output.note(`${labelPath}:${line}: ${message}`);
  output.note(`${count(problems.length, 'row')} left out`);
}

/** One bar per phase of an upload, made when the phase begins. */
export function uploadProgress(output: Output): { update: (progress: UploadProgress) => void; end: () => void } {
  let phase: UploadProgress['phase'] | undefined;
  let bar: ReturnType<Output['progress']> | undefined;
  return {
    update: (progress) => {
      if (progress.phase !== phase) {
        bar?.end();
        bar = output.progress(progress.phase, progress.total);
        phase = progress.phase;
      }
      bar?.update(progress.done);
    },
    end: () => bar?.end(),
  };
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
const shortList = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

function describe(dataset: ImportedDataset): string {
  const rows = dataset.splits.map(({ split, sampleCount, patientCount, labels }) => [
    split,
    sampleCount,
    patientCount,
    ...dataset.classes.map((label) => labels.find((entry) => entry.label === label)?.sampleCount ?? 0),
  ]);
  const novelty = dataset.isNew ? `version ${dataset.version}` : `version ${dataset.version}, which existed already`;
  return [
    `${dataset.name} ${novelty}: ${dataset.datasetVersionId}`,
    `${count(dataset.sampleCount, 'image')} of ${count(dataset.patientCount, 'patient')}; ${dataset.sentCount} sent, ${dataset.alreadyStoredCount} already stored, ${dataset.rejected.length} rejected`,
    table(['split', 'images', 'patients', ...dataset.classes], rows),
  ].join('\n');
}
