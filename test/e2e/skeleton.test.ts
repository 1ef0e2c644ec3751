import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  datasets,
  downloadCsv,
  importDataset,
  type ImportedDataset,
  metricSeries,
  MutationError,
  predict,
  type RoentgenClient,
  type RunEvent,
  samples,
  startTrainingRun,
  type TrainingRecipeInput,
  trainingRun,
  watchRun,
} from '@roentgen/client';
import { decodeForModel } from '@roentgen/imaging';
import { parse } from 'csv-parse/sync';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { rawGraphql } from '../testkit/graphql-client.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { patientsInSeveralSplits } from '../testkit/leaks.js';
import { runCli } from '../testkit/run-cli.js';
import { syntheticDataset, writeDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

const RECIPE = { variant: 'B0', imageSizePx: 32, epochs: 2, globalBatchSize: 8, microBatchSize: 8, seed: 3 } as const;

let system: System;
let client: RoentgenClient;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-e2e-'));
  system = await startSystem(inject('stack'), { workers: 2, environment: { WORKER_INTRA_OP_THREADS: '1' } });
  client = system.client;
});
afterAll(async () => {
  await system.close();
  rmSync(folder, { recursive: true, force: true });
});

/** One command line as the admin. */
const shell = (args: readonly string[]) =>
  runCli(args, { ROENTGEN_URL: system.url, ROENTGEN_TOKEN: system.adminToken, ROENTGEN_CACHE_DIR: join(folder, 'cache') });

const range = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

async function eventsOf(runId: string): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of watchRun(client, runId)) events.push(event);
  return events;
}

/** A file with this many bytes less than an image needs. */
const truncated = (bytes: Buffer): Buffer<ArrayBuffer> => Buffer.from(bytes.subarray(0, Math.floor(bytes.byteLength / 2)));

describe('from a folder of X-rays to a predictions file', () => {
  let dataset: ImportedDataset;
  let runId: string;
  let modelId: string;

  test('an import splits whole patients', async () => {
    const images = await syntheticDataset({ images: 60, patients: 20 });
    dataset = await importDataset(client, { name: 'chests', files: importFiles(images), split: SPLIT });
    expect(dataset).toMatchObject({
      version: 1,
      isNew: true,
      classes: ['normal', 'pneumonia'],
      sampleCount: 60,
      patientCount: 20,
      sentCount: 60,
      rejected: [],
    });

    const rows = await samples(client, dataset.datasetVersionId);
    expect(rows.map((row) => row.fileName).sort()).toEqual(images.map((image) => image.fileName).sort());
    expect(patientsInSeveralSplits(rows)).toEqual([]);
    for (const { split, labels } of dataset.splits)
      expect(labels.map(({ label }) => label).sort(), `classes in ${split}`).toEqual(['normal', 'pneumonia']);
  });

  test('importing the same twice sends and stores nothing twice', async () => {
    const images = await syntheticDataset({ images: 60, patients: 20 });
    const again = await importDataset(client, { name: 'chests', files: importFiles(images), split: SPLIT });
    expect(again).toMatchObject({
      datasetVersionId: dataset.datasetVersionId,
      version: 1,
      isNew: false,
      sentCount: 0,
      alreadyStoredCount: 60,
    });
    const other = await importDataset(client, { name: 'chests', files: importFiles(images), split: { ...SPLIT, seed: 2 } });
    expect(other).toMatchObject({ version: 2, isNew: true, sentCount: 0 });
  });

  test('an interrupted import, started again, sends only what is missing', async () => {
    const files = importFiles(await syntheticDataset({ images: 40, patients: 16, seed: 4 }));
    const sent = new Set<string>();
    const journal = {
      key: 'an interrupted import',
      wasSent: (upload: string, ordinal: number) => sent.has(`${upload} ${ordinal}`),
      markSent: (upload: string, ordinal: number) => void sent.add(`${upload} ${ordinal}`),
    };
    const interruption = new AbortController();
    const onProgress = ({ done }: { done: number }) => (done === 15 ? interruption.abort(new Error('interrupted')) : undefined);
    const options = { name: 'interrupted', files, split: SPLIT, journal, concurrency: 4 };
    await expect(importDataset(client, { ...options, signal: interruption.signal, onProgress })).rejects.toThrow('interrupted');
    const before = sent.size;
    expect(before).toBeGreaterThanOrEqual(15);
    expect(before).toBeLessThan(40);
    const dataset = await importDataset(client, options);
    expect(dataset).toMatchObject({ sampleCount: 40, sentCount: 40 - before, alreadyStoredCount: before });
  });

  test('two runs are trained at once by two workers, each with events 1..n', async () => {
    const recipe = { ...RECIPE, augmentation: { preset: 'LIGHT' }, layerDecay: 0.9 } as const;
    const started = await Promise.all(
      [1, 2].map((seed) => startTrainingRun(client, { datasetVersionId: dataset.datasetVersionId, recipe: { ...recipe, seed } })),
    );
    const logs = await Promise.all(started.map((run) => eventsOf(run.id)));
    for (const [index, events] of logs.entries()) {
      const run = await trainingRun(client, started[index]?.id ?? '');
      expect(run).toMatchObject({ status: 'SUCCEEDED', epoch: 2, headSequence: events.length });
      expect(events.map((event) => event.sequence)).toEqual(range(events.length));
      expect(events[0]?.kind).toBe('RUN_QUEUED');
      expect(events.at(-1)?.kind).toBe('RUN_SUCCEEDED');
      const steps = events.filter((event) => event.kind === 'STEP_COMMITTED').map((event) => event.step);
      expect(steps).toEqual(range(run.totalSteps ?? 0));
      expect(events.filter((event) => event.kind === 'EVALUATED')).toHaveLength(2);
    }
    const attempts = await Promise.all(started.map((run) => attemptOf(run.id)));
    expect(new Set(attempts.map((attempt) => attempt.workerId)).size).toBe(2);
    const [first, second] = attempts;
    expect(Date.parse(first?.startedAt ?? '')).toBeLessThan(Date.parse(second?.endedAt ?? ''));
    expect(Date.parse(second?.startedAt ?? '')).toBeLessThan(Date.parse(first?.endedAt ?? ''));
    const run = await trainingRun(client, started[0]?.id ?? '');
    runId = run.id;
    modelId = run.model?.id ?? '';
  });

  test('a reader who comes later, in the middle, gets exactly the rest', async () => {
    const rest: number[] = [];
    for await (const { sequence } of watchRun(client, runId, { afterSequence: 5 })) rest.push(sequence);
    expect(rest).toEqual(range((await trainingRun(client, runId)).headSequence).slice(5));
  });

  test('the curves of a run have one finite point per step and epoch', async () => {
    const run = await trainingRun(client, runId);
    const points = await metricSeries(client, runId, ['train/loss', 'val/accuracy']);
    const stepsOf = (name: string) => points.filter((point) => point.name === name).map((point) => point.step);
    expect(stepsOf('train/loss')).toEqual(range(run.totalSteps ?? 0));
    expect(stepsOf('val/accuracy')).toEqual([(run.totalSteps ?? 0) / 2, run.totalSteps]);
    for (const point of points) expect(point.value).toEqual(expect.any(Number));
  });

  test('predictions of a split have one row per image, in CSV', async () => {
    const job = await predict(client, { modelId, datasetVersionId: dataset.datasetVersionId, split: 'VAL' });
    expect(job.status).toBe('SUCCEEDED');
    expect(job.engines).toEqual([expect.stringMatching(/^onnxruntime \d/)]);
    const rows: Record<string, string>[] = parse(await downloadCsv(client, job.id), { columns: true });
    const validation = await samples(client, dataset.datasetVersionId, 'VAL');
    expect(rows.map((row) => row.File)).toEqual(validation.map((sample) => sample.fileName));
    expect(Object.keys(rows[0] ?? {})).toEqual([
      'File',
      'Label',
      'probability_normal',
      'probability_pneumonia',
      'model',
      'dataset_version',
    ]);
    for (const row of rows) {
      const probabilities = { normal: Number(row.probability_normal), pneumonia: Number(row.probability_pneumonia) };
      expect(probabilities.normal + probabilities.pneumonia).toBeCloseTo(1, 5);
      expect(row.Label).toBe(probabilities.normal > probabilities.pneumonia ? 'normal' : 'pneumonia');
      expect(row).toMatchObject({ model: modelId, dataset_version: dataset.datasetVersionId });
    }
  });

  test('the command line does the same: import, train, watch, predict, export', async () => {
    const directory = join(folder, 'chests');
    await writeDataset(directory, await syntheticDataset({ images: 24, patients: 12, seed: 5 }));
    const imported = await shell([
      'import',
      directory,
      '--labels',
      'labels.csv',
      '--name',
      'from the shell',
      '--fractions',
      '0.6,0.2,0.2',
      '--json',
    ]);
    expect(imported).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(imported.stdout)).toMatchObject({ name: 'from the shell', sampleCount: 24, sentCount: 24, ignoredFiles: [] });

    const trained = await shell([
      'train',
      '--dataset',
      'from the shell',
      '--image-size',
      '32',
      '--epochs',
      '1',
      '--batch-size',
      '4',
      '--micro-batch-size',
      '4',
      '--watch',
      '--json',
    ]);
    expect(trained).toMatchObject({ exitCode: 0 });
    const lines = trained.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.slice(0, -1).map((line) => line.sequence)).toEqual(range(lines.length - 1));
    const result = lines.at(-1);
    expect(result).toMatchObject({ status: 'SUCCEEDED', model: expect.stringMatching(/^mdl_/) as string });

    const csv = join(folder, 'predictions.csv');
    const predicted = await shell([
      'predict',
      '--model',
      String(result?.model),
      '--images',
      join(directory, 'images'),
      '--out',
      csv,
      '--json',
    ]);
    expect(JSON.parse(predicted.stdout)).toMatchObject({ status: 'SUCCEEDED', images: 24, csv });
    const listed = await shell(['runs']);
    expect(listed.stdout).toContain(String(result?.run));

    const exported = join(folder, 'model.onnx');
    expect(await shell(['model', 'export', String(result?.run), '--format', 'onnx', '--out', exported])).toMatchObject({ exitCode: 0 });
    const [row] = parse<Record<string, string>>(readFileSync(csv, 'utf8'), { columns: true });
    const pixels = await decodeForModel(readFileSync(join(directory, 'images', row?.File ?? '')), 32);
    const session = await InferenceSession.create(exported);
    const { probabilities } = await session.run({ images: new Tensor('uint8', pixels, [1, 32, 32, 3]) });
    expect(probabilities?.data).toHaveLength(2);
    expect(Number(probabilities?.data[0])).toBeCloseTo(Number(row?.probability_normal), 5);
    await session.release();
  });

  test('a model is exported for TensorFlow as a folder of its own, and as tensors alone', async () => {
    const saved = join(folder, 'saved-model');
    const written = await shell(['model', 'export', modelId, '--format', 'savedmodel', '--out', saved, '--json']);
    expect(JSON.parse(written.stdout)).toMatchObject({ model: modelId, format: 'savedmodel', out: saved });
    expect(readdirSync(saved).sort()).toEqual(['assets.extra', 'saved_model.pb']);
    expect(JSON.parse(readFileSync(join(saved, 'assets.extra/roentgen.json'), 'utf8'))).toMatchObject({
      model: modelId,
      classes: '["normal","pneumonia"]',
    });
    const again = await shell(['model', 'export', modelId, '--format', 'savedmodel', '--out', saved]);
    expect(again).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('is not empty') as string });

    const tensors = join(folder, 'tensors.safetensors');
    expect(await shell(['model', 'export', modelId, '--format', 'safetensors', '--out', tensors])).toMatchObject({ exitCode: 0 });
    expect(readFileSync(tensors).toString('latin1')).toContain('"stem_conv/kernel"');
  });
});

describe('bad input', () => {
  test('files that are no good images are reported one by one, and nothing is made of them unless asked', async () => {
    const images = await syntheticDataset({ images: 24, patients: 12, seed: 7 });
    const [first, second, third] = images;
    const tooLarge = await sharp({ create: { width: 20_000, height: 16, channels: 3, background: 'grey' } })
      .png()
      .toBuffer();
    const bad = [
      { ...first, fileName: 'bad/truncated.png', bytes: truncated(first?.bytes ?? Buffer.alloc(0)) },
      { ...second, fileName: 'bad/text.png', bytes: Buffer.from('this is no image') },
      { ...third, fileName: 'bad/wide.png', bytes: Buffer.from(tooLarge) },
    ].map((image) => ({ label: 'normal', patient: 'patient-bad', ...image }));
    const files = importFiles([...images, ...bad]);

    const refused = importDataset(client, { name: 'with bad files', files, split: SPLIT });
    await expect(refused).rejects.toThrow(MutationError);
    await expect(refused).rejects.toThrow('3 of 27 files were rejected');
    expect((await datasets(client)).map((dataset) => dataset.name)).not.toContain('with bad files');

    const rejected: string[] = [];
    const made = await importDataset(client, {
      name: 'with bad files',
      files,
      split: SPLIT,
      onRejected: 'SKIP',
      onRejectedFile: (file) => rejected.push(`${file.fileName} ${file.message}`),
    });
    expect(made.sampleCount).toBe(24);
    expect(rejected.map((line) => line.split(' ')[0])).toEqual(['bad/truncated.png', 'bad/text.png', 'bad/wide.png']);
    expect(rejected[2]).toContain('20000');
  });

  test('a class with fewer patients than splits is named', async () => {
    const images = await syntheticDataset({ images: 24, patients: 12, seed: 8 });
    const rare = images.map((image, index) => (index === 0 ? { ...image, label: 'rare', patient: 'the only one' } : image));
    await expect(importDataset(client, { name: 'too rare', files: importFiles(rare), split: SPLIT })).rejects.toThrow(/rare/);
    expect((await datasets(client)).map((dataset) => dataset.name)).not.toContain('too rare');
  });

  test('a recipe that cannot be is refused with all that is wrong', async () => {
    const chests = (await datasets(client)).find(({ name }) => name === 'chests');
    const problemsOf = async (recipe: TrainingRecipeInput) => {
      const refusal = await startTrainingRun(client, { datasetVersionId: chests?.latestVersion?.id ?? '', recipe }).catch(
        (error: unknown) => error,
      );
      if (!(refusal instanceof MutationError)) throw new Error('the recipe was not refused', { cause: refusal });
      return refusal.inputErrors;
    };
    expect((await problemsOf({ variant: 'B9', epochs: 0 })).map((issue) => issue.field).sort()).toEqual([
      'recipe.epochs',
      'recipe.variant',
    ]);
    const [indivisible] = await problemsOf({ globalBatchSize: 50, microBatchSize: 16 });
    expect(indivisible).toMatchObject({ field: 'recipe.globalBatchSize', message: expect.stringContaining('Use 48 or 64') as string });
  });

  test('a run that diverges fails with its step, and what it left behind becomes neither checkpoint nor model', async () => {
    const images = await syntheticDataset({ images: 24, patients: 12, seed: 9 });
    const dataset = await importDataset(client, { name: 'to diverge', files: importFiles(images), split: SPLIT });
    // One step per epoch: the first has a finite loss and leaves absurd weights behind, which its evaluation finds out.
    const recipe = {
      ...RECIPE,
      epochs: 4,
      globalBatchSize: 16,
      microBatchSize: 16,
      learningRate: 1000,
      batchNorm: 'FROZEN',
      schedule: { kind: 'CONSTANT' },
    } as const;
    const { id } = await startTrainingRun(client, { datasetVersionId: dataset.datasetVersionId, recipe });
    const events = await eventsOf(id);
    const run = await trainingRun(client, id);
    expect(run).toMatchObject({ status: 'FAILED', statusCode: 'NON_FINITE_LOSS', model: null });
    expect(run.statusMessage).toMatch(/after step 1 \(epoch 1\) the validation loss is NaN.*There is no checkpoint yet/);
    expect(events.filter((event) => event.kind === 'CHECKPOINT_SAVED')).toEqual([]);
    expect(events.find((event) => event.kind === 'ATTEMPT_FAILED')).toMatchObject({ failureCode: 'NON_FINITE_LOSS' });
    const watched = await shell(['watch', id]);
    expect(watched).toMatchObject({ exitCode: 4, stdout: expect.stringContaining('NON_FINITE_LOSS') as string });
    expect(watched.stderr).toContain('step 1');
  });

  test('the command line names bad rows by line before it sends anything', async () => {
    const directory = join(folder, 'bad rows');
    const images = await syntheticDataset({ images: 4, patients: 4, seed: 10 });
    await writeDataset(directory, images);
    writeFileSync(join(directory, 'empty.png'), '');
    writeFileSync(
      join(directory, 'labels.csv'),
      `file,label,patient\n${images[0]?.fileName},normal,p1\n${images[0]?.fileName},normal,p1\nimages/gone.png,normal,p2\nempty.png,normal,p3\n`,
    );
    const wrongColumn = await shell(['import', directory, '--labels', 'labels.csv', '--name', 'x', '--label-column', 'finding']);
    expect(wrongColumn).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringContaining('Its columns are: file, label, patient') as string,
    });
    const badRows = await shell(['import', directory, '--labels', 'labels.csv', '--name', 'x', '--json']);
    expect(badRows.exitCode).toBe(2);
    const { error } = JSON.parse(badRows.stdout) as { error: { issues: { field: string; message: string }[] } };
    expect(error.issues.map(({ field, message }) => `${field.split(':').at(-1)} ${message}`)).toEqual([
      expect.stringMatching(/^3 ".*" was already named in line 2/),
      expect.stringMatching(/^4 "images\/gone\.png" has a label but is not in/),
      expect.stringMatching(/^5 "empty\.png" has 0 bytes/),
    ]);
  });

  test('all of this leaves nothing in the store that nobody needs but files as they were sent, which the janitor removes when told to', async () => {
    const kinds = (run: { stdout: string }) => [
      ...new Set((JSON.parse(run.stdout) as { findings: { kind: string; action: string }[] }).findings.map((f) => `${f.kind} ${f.action}`)),
    ];
    const said = await shell(['janitor', '--json']);
    expect(said.exitCode).toBe(0);
    expect(kinds(said)).toEqual(['SPENT_UPLOAD REMOVE']);
    const done = await shell(['janitor', '--delete', '--json']);
    expect(kinds(done)).toEqual(['SPENT_UPLOAD REMOVED']);
    const after = await shell(['janitor']);
    expect(after).toMatchObject({ exitCode: 0, stdout: 'Would go: 0 objects, 0 bytes\n' });
  });

  test('whoever has no token, or a wrong one, gets nothing', async () => {
    expect(await runCli(['runs'], { ROENTGEN_URL: system.url, ROENTGEN_TOKEN: 'wrong' })).toMatchObject({ exitCode: 3, stdout: '' });
    expect(await runCli(['runs'], { ROENTGEN_URL: 'http://127.0.0.1:9/graphql', ROENTGEN_TOKEN: 'x' })).toMatchObject({ exitCode: 3 });
    expect(await runCli(['runs'], { ROENTGEN_URL: system.url })).toMatchObject({ exitCode: 2 });
    const anonymous = await rawGraphql(system.url, '{ datasets { nodes { id } } }');
    expect(anonymous.body.data ?? null).toBeNull();
    expect(anonymous.body.errors?.[0]?.extensions?.code).toBe('UNAUTHENTICATED');
  });
});

/** The one attempt that a run took. */
async function attemptOf(id: string): Promise<{ workerId: string; startedAt: string; endedAt: string }> {
  const query = 'query Attempts($id: ID!) { trainingRun(id: $id) { attempts { workerId startedAt endedAt } } }';
  const { body } = await rawGraphql(system.url, query, { variables: { id }, token: system.adminToken });
  const { attempts } = (body.data as { trainingRun: { attempts: { workerId: string; startedAt: string; endedAt: string }[] } }).trainingRun;
  expect(attempts).toHaveLength(1);
  return attempts[0] as { workerId: string; startedAt: string; endedAt: string };
}
