/**
 * Peak memory of a training step (float32, 1000 classes, Adam) with activations kept and recomputed, at two batch sizes: what is there
 * whatever the batch, and what each image adds. Frozen statistics, so that a batch may have one image; batch statistics need as much.
 *
 *   npm run benchmark -- memory [--json] [--cases b0-224-8,b0-224-16,…] [--threads 2]
 */
import { InvalidInputError } from '@roentgen/domain';
import { SetupFailure } from '../../scripts/setup/failure.mjs';
import { parseBenchmarkArguments, type ModelCase } from './harness/arguments.js';
import { modelSetup } from './harness/compare-models.js';
import { roentgen } from './harness/contestants.js';
import { measure } from './harness/measure.js';
import { formatMemory, memoryLine, pairsOf, type CasePair, type MemoryReport, type Peaks } from './harness/memory.js';
import { say } from './harness/run-benchmark.js';

/** Each variant at its own resolution; the larger batch takes up to 12 GB. */
const CASES =
  'b0-224-8,b0-224-16,b1-240-4,b1-240-8,b2-260-4,b2-260-8,b3-300-2,b3-300-4,b4-380-1,b4-380-2,b5-456-1,b5-456-2,b6-528-1,b6-528-2,b7-600-1,b7-600-2';

/** Largest resident memory of a process that makes three steps. */
async function peakBytes(modelCase: ModelCase, recompute: boolean, threads: number): Promise<number> {
  say(`${modelCase.name}, activations ${recompute ? 'recomputed' : 'kept'}`);
  const setup = { ...modelSetup('train-step', modelCase, threads), batchNorm: 'frozen', recompute };
  const { ours } = await measure([roentgen('roentgen-model.ts', setup)], { rounds: 1, steps: 1, say: () => undefined });
  return ours.rounds[0]!.peakBytes;
}

async function peaksOf({ smaller, larger }: CasePair, recompute: boolean, threads: number): Promise<Peaks> {
  const peaks = [];
  for (const { batchSize, ...rest } of [smaller, larger])
    peaks.push({ images: batchSize, peakBytes: await peakBytes({ batchSize, ...rest }, recompute, threads) });
  return memoryLine(peaks[0]!, peaks[1]!);
}

try {
  const { cases, json, threads } = parseBenchmarkArguments(process.argv.slice(2), { cases: CASES, steps: 1, peers: [] });
  for (const pair of pairsOf(cases)) {
    const { variant, imageSizePx } = pair.smaller;
    const [kept, recomputed] = [await peaksOf(pair, false, threads), await peaksOf(pair, true, threads)];
    const report: MemoryReport = { case: `memory-${variant.toLowerCase()}-${imageSizePx}`, unit: 'bytes', kept, recomputed, threads };
    console.log(json ? JSON.stringify(report) : formatMemory(report));
  }
} catch (error) {
  if (!(error instanceof InvalidInputError) && !(error instanceof SetupFailure)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof SetupFailure ? 1 : 2;
}
