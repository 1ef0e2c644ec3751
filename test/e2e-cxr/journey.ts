import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { samples, trainingRun } from '@roentgen/client';
import { parse } from 'csv-parse/sync';
import { patientsInSeveralSplits } from '../testkit/leaks.js';
import { runCli } from '../testkit/run-cli.js';
import type { System } from '../testkit/start-system.js';

/** Enough to see it learn, little enough for two cores and five minutes. */
const TRAIN_FLAGS = '--variant b0 --image-size 96 --epochs 3 --batch-size 16 --micro-batch-size 16 --learning-rate 0.001 --seed 1'.split(
  ' ',
);

interface Imported {
  readonly datasetVersionId: string;
  readonly classes: readonly string[];
  readonly sampleCount: number;
  readonly patientCount: number;
  readonly splits: readonly { readonly split: string; readonly sampleCount: number; readonly patientCount: number }[];
}

interface Place {
  readonly system: System;
  /** For what the commands leave behind. */
  readonly folder: string;
  /** Filled in by each command. */
  readonly seconds: Record<string, number>;
}

/** Imports, trains and predicts as a user would at the shell, and checks what must hold. @returns the summary; throws AssertionError */
export async function journey(system: System, data: string, startSeconds: number) {
  const seconds: Record<string, number> = { start: tenths(startSeconds) };
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-cxr-'));
  const place: Place = { system, folder, seconds };
  try {
    const imported = (await shell(place, 'import', [data, '--labels', 'labels.csv', '--name', 'cxr'])).at(-1) as Imported;
    const labelled = parse(readFileSync(join(data, 'labels.csv')), { columns: true }).length;
    assert.equal(imported.sampleCount, labelled, 'every labelled image is in the dataset');
    const rows = await samples(system.client, imported.datasetVersionId);
    assert.equal(rows.length, labelled);
    assert.deepEqual(patientsInSeveralSplits(rows), [], 'no patient is in two splits');

    const trained = await shell(place, 'train', ['--dataset', imported.datasetVersionId, ...TRAIN_FLAGS, '--watch']);
    const { run: runId, model } = trained.at(-1) as { run: string; model: string };
    const sequences = trained.slice(0, -1).map((event) => (event as { sequence: number }).sequence);
    assert.deepEqual(
      sequences,
      sequences.map((_, index) => index + 1),
      'events are numbered 1..n',
    );
    const run = await trainingRun(system.client, runId);
    const validation = Object.fromEntries(
      run.latestMetrics.filter(({ name }) => name.startsWith('val/')).map(({ name, value }) => [name.slice(4), value]),
    );

    const csv = join(folder, 'predictions.csv');
    await shell(place, 'predict', ['--model', model, '--dataset', imported.datasetVersionId, '--split', 'val', '--out', csv]);
    const predictions: Record<string, string>[] = parse(readFileSync(csv), { columns: true });
    const expected = rows.filter((row) => row.split === 'VAL').map((row) => row.fileName);
    assert.deepEqual(predictions.map((row) => row.File).sort(), expected.sort(), 'one row per validation image');
    return {
      images: rows.length,
      patients: imported.patientCount,
      classes: imported.classes,
      splits: imported.splits,
      run: { id: runId, steps: run.committedStep, events: sequences.length },
      validation,
      predictions: predictions.length,
      seconds: { ...seconds, total: tenths(Object.values(seconds).reduce((sum, value) => sum + value, 0)) },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One `roentgen` command with --json; its lines as objects. */
async function shell({ system, folder, seconds }: Place, command: string, args: readonly string[]): Promise<unknown[]> {
  console.error(`roentgen ${command} …`);
  const startedAt = performance.now();
  const result = await runCli([command, ...args, '--json'], {
    ROENTGEN_URL: system.url,
    ROENTGEN_TOKEN: system.adminToken,
    ROENTGEN_CACHE_DIR: folder,
  });
  seconds[command] = tenths((performance.now() - startedAt) / 1000);
  assert.equal(result.exitCode, 0, `roentgen ${command} ended with ${result.exitCode}:\n${result.stderr}\n${result.stdout.slice(-2000)}`);
  return result.stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

const tenths = (seconds: number): number => Math.round(seconds * 10) / 10;
