import { join } from 'node:path';
import { datasets, type RoentgenClient, type RunEvent, startTrainingRun, type TrainingRun } from '@roentgen/client';
import { writeCsv } from '../commands/export.js';
import { importFolder } from '../commands/import.js';
import { runPrediction } from '../commands/predict.js';
import { followRun, requireSuccess } from '../commands/train.js';
import type { Output, Progress } from '../output.js';
import { describeMetrics } from '../run-event-line.js';
import type { PhaseTimer } from './seconds.js';
import { REPOSITORY_ROOT } from './service.js';

export type DemoPhase = 'setup' | 'start' | 'import' | 'train' | 'predict';

export interface DemoSummary {
  readonly dataset: string;
  readonly run: string;
  readonly model: string;
  /** The last metrics on the validation split, by their names without `val/`; null where the value is no finite number. */
  readonly validation: Readonly<Record<string, number | null>>;
  readonly csv: string;
  readonly seconds: Readonly<Record<string, number>>;
}

export interface DemoOptions {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly dataDirectory: string;
  readonly timer: PhaseTimer<DemoPhase>;
}

const SAMPLES = join(REPOSITORY_ROOT, 'samples');

/** Small enough for two cores to finish in about a minute; it shows that the parts work together, not what the network can do. */
const RECIPE = { variant: 'B0', imageSizePx: 96, epochs: 8, globalBatchSize: 16, microBatchSize: 16, learningRate: 1e-3, seed: 7 };

/** Whether there is nothing yet to lose or to confuse by a demo. */
export async function hasNoDataset(client: RoentgenClient): Promise<boolean> {
  return (await datasets(client, 1)).length === 0;
}

/** The whole way once: imports samples/, trains, predicts the validation split into a CSV. Run again it stores no image twice. */
export async function runDemo(client: RoentgenClient, options: DemoOptions): Promise<DemoSummary> {
  const { output, signal, timer } = options;
  const { dataset } = await timer.time('import', () => importFolder(client, SAMPLES, IMPORT_OPTIONS, options));
  output.note(
    `dataset ${dataset.datasetVersionId}: ${dataset.sampleCount} images of ${dataset.patientCount} patients; ${dataset.sentCount} sent, ${dataset.alreadyStoredCount} already stored`,
  );
  const run = await timer.time('train', async () => {
    const started = await startTrainingRun(client, { datasetVersionId: dataset.datasetVersionId, name: 'samples demo', recipe: RECIPE });
    return trainWithProgress(client, started.id, options);
  });
  requireSuccess(run);
  const validation = run.latestMetrics.filter(({ name }) => name.startsWith('val/'));
  output.note(`run ${run.id}: ${describeMetrics(validation)}`);
  const csv = join(options.dataDirectory, 'predictions.csv');
  const rows = await timer.time('predict', async () => {
    const job = await runPrediction(client, run.model?.id ?? '', { datasetVersionId: dataset.datasetVersionId, split: 'VAL' }, options);
    return writeCsv(client, job.id, csv, signal);
  });
  output.note(`${rows} predictions in ${csv}`);
  return {
    dataset: dataset.datasetVersionId,
    run: run.id,
    model: run.model?.id ?? '',
    validation: Object.fromEntries(validation.map(({ name, value }) => [name.slice('val/'.length), value])),
    csv,
    seconds: timer.summary(),
  };
}

const IMPORT_OPTIONS = {
  labels: 'labels.csv',
  name: 'samples',
  fileColumn: 'file',
  labelColumn: 'label',
  patientColumn: 'patient',
  splitSeed: 0,
  fractions: { train: 0.7, val: 0.15, test: 0.15 },
  concurrency: 8,
} as const;

/** Follows a run with a bar over its steps, which the run's first event of a worker counts. */
async function trainWithProgress(client: RoentgenClient, runId: string, { output, signal }: DemoOptions): Promise<TrainingRun> {
  let bar: Progress | undefined;
  const onEvent = ({ kind, metrics, step, epoch }: RunEvent): void => {
    const totalSteps = metrics.find(({ name }) => name === 'run/total-steps')?.value;
    if (totalSteps != null) bar ??= output.progress('train', totalSteps);
    if (kind === 'STEP_COMMITTED')
      bar?.update(step ?? 0, `epoch ${epoch ?? 0}, ${describeMetrics(metrics.filter(({ name }) => name === 'train/loss'))}`);
  };
  return followRun(client, runId, { output, signal, onEvent }).finally(() => bar?.end());
}
