import type { BenchmarkOptions, ModelCase } from './arguments.js';
import { peer, roentgen, type PeerName } from './contestants.js';
import { measure } from './measure.js';
import { reportCase, type Figure } from './report.js';
import { say, type CaseResult } from './run-benchmark.js';

/** Classes of ImageNet: the head that the family was published with. */
const CLASSES = 1000;
const LEARNING_RATE = 1e-4;

export type ModelPeer = Exclude<PeerName, 'pillow'>;
export type ModelMode = 'train-step' | 'inference';

export function modelSetup(mode: ModelMode, { variant, imageSizePx, batchSize }: ModelCase, threads: number) {
  return { mode, variant, imageSizePx, batchSize, classes: CLASSES, learningRate: LEARNING_RATE, threads };
}

/** Ours beside the peers, case by case. */
export async function* compareModels(
  mode: ModelMode,
  figureOf: (modelCase: ModelCase) => Figure,
  { cases, peers, rounds, steps, threads }: BenchmarkOptions<ModelPeer>,
): AsyncGenerator<CaseResult> {
  for (const modelCase of cases) {
    const setup = modelSetup(mode, modelCase, threads);
    say(`${mode} ${modelCase.name}`);
    const specs = [roentgen('roentgen-model.ts', setup), ...(await Promise.all(peers.map((name) => peer(name, setup))))];
    const { ours, ...others } = await measure(specs, { rounds, steps, say });
    yield { report: { ...reportCase(`${mode}-${modelCase.name}`, figureOf(modelCase), ours, others) } };
  }
}
