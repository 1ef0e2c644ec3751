import { parseTrainingRecipe } from '@roentgen/domain';
import { initializeModel } from '@roentgen/efficientnet';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { TrainingSession, assembleMicroBatch, noiseSamples, TrainingPlan } from '@roentgen/training';
import { checkThat, type Check } from './check.js';
import { gpuMemoryBytes } from '../compute/memory-budget.js';
import { processMemory } from './memory.js';
import { memoryName, speedName, type MemoryCase, type SpeedCase } from './tasks.js';

const FEWEST_STEPS = 3;
const MOST_STEPS = 50;
const CLASSES = 2;

interface StepTimes {
  /** The first call of an endpoint optimises its graph. */
  readonly firstMs: number;
  readonly steadyMs: readonly number[];
  readonly lastLoss: number;
}

/** The GPU that is measured, before TensorFlow took anything of it. */
export interface GpuBefore {
  /** As CUDA_VISIBLE_DEVICES names it. */
  readonly id: string;
  readonly usedBytes: number;
}

/**
 * Times training steps (gradients and update) of one case. The peak memory is that of this process, so a process should measure one case:
 * memory per image is what the peak is above the memory held with the state loaded and nothing computed, divided by the batch. The
 * gradient's own vectors are in it, so with few images it says too much, never too little.
 * @param gpuBefore null on a CPU, or where nvidia-smi does not tell
 */
export function speedCheck(binding: TensorFlowBinding, speedCase: SpeedCase, gpuBefore: GpuBefore | null): Check {
  const { batchSize } = speedCase;
  return withSession(binding, speedCase, (session) => {
    const before = processMemory();
    const times = timeSteps(session, speedCase);
    const { peakBytes, gpuBytes } = memoryTaken(gpuBefore);
    // On a GPU the images lie in its memory: what the process holds says nothing about them, and growth is in large regions.
    const perImageBytes = gpuBytes === null ? Math.max(0, peakBytes - before.residentBytes) / batchSize : gpuBytes / batchSize;
    return judgeSpeed(speedCase, times, { peakBytes, gpuBytes, perImageBytes });
  });
}

/** Tells the peak memory of a few steps: of the GPU where there is one, else of the process. */
export function memoryCheck(binding: TensorFlowBinding, memoryCase: MemoryCase, gpuBefore: GpuBefore | null): Check {
  return withSession(binding, memoryCase, (session) => {
    const { lastLoss } = timeSteps(session, { ...memoryCase, budgetMs: 0 });
    const { peakBytes, gpuBytes } = memoryTaken(gpuBefore);
    const takenBytes = gpuBytes ?? peakBytes;
    return checkThat(Number.isFinite(lastLoss), {
      name: memoryName(memoryCase),
      measured: `${(takenBytes / 2 ** 20).toFixed(0)} MiB ${gpuBytes === null ? 'process peak' : 'of the GPU'}`,
      bound: 'finite loss; memory is told, not judged',
      values: { ...memoryCase, takenBytes },
    });
  });
}

function withSession<T>(
  binding: TensorFlowBinding,
  { variant, imageSizePx, batchSize }: MemoryCase,
  use: (session: TrainingSession) => T,
): T {
  const recipe = parseTrainingRecipe({ variant, imageSizePx, globalBatchSize: batchSize, microBatchSize: batchSize });
  const session = TrainingSession.create({ binding, recipe, numClasses: CLASSES });
  try {
    session.start(initializeModel(session.spec, recipe.seed));
    return use(session);
  } finally {
    session.close();
  }
}

function memoryTaken(gpuBefore: GpuBefore | null): Pick<SpeedMemory, 'peakBytes' | 'gpuBytes'> {
  const gpuUsedBytes = gpuBefore === null ? null : gpuMemoryBytes('memory.used', gpuBefore.id);
  const gpuBytes = gpuBefore === null || gpuUsedBytes === null ? null : gpuUsedBytes - gpuBefore.usedBytes;
  return { peakBytes: processMemory().peakBytes, gpuBytes };
}

function timeSteps(
  session: TrainingSession,
  { batchSize, imageSizePx, budgetMs }: Pick<SpeedCase, 'batchSize' | 'imageSizePx' | 'budgetMs'>,
): StepTimes {
  const samples = noiseSamples(batchSize, imageSizePx, CLASSES);
  const plan = new TrainingPlan(session.recipe, batchSize);
  const batch = assembleMicroBatch(plan.microBatches(0)[0]!, imageSizePx, (index) => samples[index]!);
  let lastLoss = NaN;
  const timeStep = (step: number) => {
    const startedMs = performance.now();
    const sums = session.sumGradients([{ batch, dropoutSeed: plan.dropoutSeed(step, 0) }]);
    session.applySum(sums, { step, learningRate: 1e-4, statisticsMomentum: 0.9 });
    lastLoss = sums.lossSum / sums.weightSum;
    return performance.now() - startedMs;
  };
  const firstMs = timeStep(0);
  const steadyMs: number[] = [];
  const endMs = performance.now() + budgetMs;
  while (steadyMs.length < FEWEST_STEPS || (performance.now() < endMs && steadyMs.length < MOST_STEPS)) {
    steadyMs.push(timeStep(steadyMs.length + 1));
  }
  return { firstMs, steadyMs, lastLoss };
}

interface SpeedMemory {
  /** Most that the process held (VmHWM). */
  readonly peakBytes: number;
  /** What the GPU's memory in use grew by; null on a CPU or where nvidia-smi does not tell. */
  readonly gpuBytes: number | null;
  readonly perImageBytes: number;
}

export function judgeSpeed(speedCase: SpeedCase, { firstMs, steadyMs, lastLoss }: StepTimes, memory: SpeedMemory): Check {
  const { variant, imageSizePx, batchSize, insteadOf } = speedCase;
  const medianMs = [...steadyMs].sort((a, b) => a - b)[Math.floor(steadyMs.length / 2)] ?? NaN;
  const imagesPerSecond = (batchSize * 1000) / medianMs;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const measured = [
    `${imagesPerSecond.toFixed(imagesPerSecond < 10 ? 2 : 1)} images/s with ${variant}@${imageSizePx} batch ${batchSize}${insteadOf === null ? '' : ` in place of ${insteadOf}`}`,
    `step ${medianMs.toFixed(0)} ms (median of ${steadyMs.length}), first ${firstMs.toFixed(0)} ms`,
    `process peak ${gib(memory.peakBytes)}`,
    ...(memory.gpuBytes === null ? [] : [`GPU ${gib(memory.gpuBytes)}`]),
    `at most ${(memory.perImageBytes / 2 ** 20).toFixed(0)} MiB per image`,
    ...(Number.isFinite(lastLoss) ? [] : [`loss ${lastLoss}`]),
  ].join(', ');
  return checkThat(imagesPerSecond > 0 && Number.isFinite(lastLoss), {
    name: speedName(speedCase),
    measured,
    bound: 'finite loss; speed and memory are told, not judged',
    values: {
      variant,
      imageSizePx,
      batchSize,
      imagesPerSecond: Number.isFinite(imagesPerSecond) ? imagesPerSecond : null,
      medianStepMs: Number.isFinite(medianMs) ? medianMs : null,
      firstStepMs: firstMs,
      peakBytes: memory.peakBytes,
      gpuBytes: memory.gpuBytes,
      bytesPerImage: memory.perImageBytes,
    },
  });
}
