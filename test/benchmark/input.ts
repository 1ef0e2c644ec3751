/**
 * Decoding JPEG files of 512 px and resizing them to 224 px, as the worker does, beside Pillow, and beside what a training step of B0 consumes.
 *
 *   npm run benchmark -- input [--json] [--rounds 5] [--steps 4] [--peers pillow] [--threads 2]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseModelCase, type BenchmarkOptions } from './harness/arguments.js';
import { modelSetup } from './harness/compare-models.js';
import { peer, pythonEnvironment, roentgen } from './harness/contestants.js';
import { measure } from './harness/measure.js';
import { figuresOf, imagesPerSecond, reportCase } from './harness/report.js';
import { runBenchmark, say, type CaseResult } from './harness/run-benchmark.js';
import { median, medianRatio, rounded } from './harness/statistics.js';

const FILES = 64;
const SOURCE_PX = 512;
const TRAINING = parseModelCase('b0-224-8');
/** WORKER_DECODE_CONCURRENCY and the libuv threads of a worker, both by default. */
const CONCURRENCY = 4;
/** Below this, decoding takes so much of the cores that training waits. */
const WANTED_RATIO = 2;
const SAMPLES = join(import.meta.dirname, '../../samples/images');

async function makeJpegs(folder: string): Promise<void> {
  const script = join(import.meta.dirname, 'peers/make_jpegs.py');
  const environment = { ...process.env, ...(await pythonEnvironment('pillow')) };
  const { status, stderr } = spawnSync('python3', [script, SAMPLES, folder, String(FILES), String(SOURCE_PX)], {
    env: environment,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the files to decode could not be made: ${stderr}`);
}

async function* compareInput({ peers, rounds, steps, threads }: BenchmarkOptions<'pillow'>): AsyncGenerator<CaseResult> {
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-benchmark-'));
  try {
    await makeJpegs(folder);
    const setup = { folder, imageSizePx: TRAINING.imageSizePx, concurrency: CONCURRENCY, threads };
    const training = { ...roentgen('roentgen-model.ts', modelSetup('train-step', TRAINING, threads)), name: 'training' as const };
    const decoding = roentgen('roentgen-input.ts', setup, { UV_THREADPOOL_SIZE: String(CONCURRENCY) });
    const specs = [decoding, ...(await Promise.all(peers.map((name) => peer(name, setup)))), training];
    const measured = await measure(specs, { rounds, steps, say });
    const { ours, training: trained, ...others } = measured;

    const figure = imagesPerSecond(FILES);
    const trainingFigures = figuresOf(trained, imagesPerSecond(TRAINING.batchSize));
    const trainingImagesPerSecond = rounded(median(trainingFigures));
    const ratioToTraining = rounded(medianRatio(figuresOf(ours, figure), trainingFigures));
    yield {
      report: {
        ...reportCase(`input-${SOURCE_PX}-${TRAINING.imageSizePx}`, figure, ours, others),
        trainingImagesPerSecond,
        ratioToTraining,
      },
      notes: [
        `training of ${TRAINING.name} takes ${trainingImagesPerSecond} images/s: the input is ${ratioToTraining} times as fast`,
        ...(ratioToTraining < WANTED_RATIO
          ? [`less than ${WANTED_RATIO} times: training would wait for images wherever both share the cores`]
          : []),
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await runBenchmark({ steps: 4, peers: ['pillow'] }, compareInput);
