import { largestMicroBatch } from './micro-batch-size.js';
import { MAX_MICRO_BATCH, USUAL_MICRO_BATCH, type EfficientNetVariant, type RequestedRecipe } from './recipe.js';
import type { WorkerRuntime } from './worker.js';

interface MemoryCoefficients {
  /** Program, libtensorflow, weights, optimiser and gradient, before the first image, MiB. */
  readonly fixedMib: number;
  /** What the forward pass keeps for the backward pass, bytes per pixel of each image. */
  readonly bytesPerPixel: number;
}

/**
 * Peak memory of a training step (Adam, float32, batch statistics), measured on a CPU as VmHWM of a process of its own after two steps:
 * 224 px with 2 and with 6 images; the slope is the memory per image, the rest is fixed. ARCHITECTURE.md says how it was checked at other sizes.
 */
const MEASURED: Readonly<Record<EfficientNetVariant, MemoryCoefficients>> = {
  B0: { fixedMib: 600, bytesPerPixel: 2010 },
  B1: { fixedMib: 730, bytesPerPixel: 2560 },
  B2: { fixedMib: 770, bytesPerPixel: 2710 },
  B3: { fixedMib: 830, bytesPerPixel: 3590 },
  B4: { fixedMib: 980, bytesPerPixel: 4510 },
  B5: { fixedMib: 1180, bytesPerPixel: 6590 },
  B6: { fixedMib: 1520, bytesPerPixel: 8110 },
  B7: { fixedMib: 2080, bytesPerPixel: 10_350 },
  Lite0: { fixedMib: 645, bytesPerPixel: 1110 },
};
/** Allocators round up and fragment, and kernels choose work space by the case: what was measured once may be more another time. */
const SAFETY = 1.25;

/** What is left of the memory per image with recompute: an upper bound of docs/memory.md, where single variants need 0.12 to 0.42. */
const RECOMPUTED_PART = 0.5;

/** Short number formats count as float32: what they save was not measured. */
type Sizes = Pick<RequestedRecipe, 'variant' | 'imageSizePx'> & Partial<Pick<RequestedRecipe, 'recompute'>>;

/** What each image of a micro-batch took where the table was measured, bytes. */
export function measuredPerImageBytes({ variant, imageSizePx, recompute = false }: Sizes): number {
  return MEASURED[variant].bytesPerPixel * imageSizePx ** 2 * (recompute ? RECOMPUTED_PART : 1);
}

/** What each image of a micro-batch takes of a worker's memory, bytes, with the safety margin. @param scale of the worker's own measurement */
export function memoryPerImageBytes(sizes: Sizes, scale = 1): number {
  return measuredPerImageBytes(sizes) * SAFETY * scale;
}

/** What a training session with micro-batches of this size takes at its peak, bytes, with the safety margin. */
export function trainingMemoryBytes(sizes: Sizes, microBatchSize: number, scale = 1): number {
  return MEASURED[sizes.variant].fixedMib * 2 ** 20 * SAFETY + microBatchSize * memoryPerImageBytes(sizes, scale);
}

/** How many images of a micro-batch fit into a worker; 0: not one. */
export function imagesThatFit(sizes: Sizes, { memoryBudgetBytes, memoryScale }: WorkerMemory): number {
  if (memoryBudgetBytes === null) return USUAL_MICRO_BATCH;
  const forImages = memoryBudgetBytes - trainingMemoryBytes(sizes, 0);
  return Math.max(0, Math.floor(forImages / memoryPerImageBytes(sizes, memoryScale)));
}

export type WorkerMemory = Pick<WorkerRuntime, 'memoryBudgetBytes' | 'memoryScale'>;

type Batches = Pick<RequestedRecipe, 'variant' | 'imageSizePx' | 'recompute' | 'globalBatchSize' | 'microBatchSize' | 'batchNorm'>;

/** The micro-batch of this recipe on this worker: the given one, else the largest that fits; null when none does. */
export function microBatchOn(recipe: Batches, worker: WorkerMemory, trainSamples = Infinity): number | null {
  const most = Math.min(imagesThatFit(recipe, worker), MAX_MICRO_BATCH);
  if (recipe.microBatchSize !== null) return recipe.microBatchSize;
  // With batch statistics only whole micro-batches are computed, so there must be one; those of one image say nothing.
  const [fewest, wanted] = recipe.batchNorm === 'batch' ? [2, Math.min(most, trainSamples)] : [1, most];
  if (wanted < fewest) return null;
  const size = largestMicroBatch(recipe.globalBatchSize, wanted);
  return size < fewest ? null : size;
}

/**
 * The micro-batch for all workers that can train this recipe: that of the weakest of them, so that any may go on with the run. Null when none can.
 * @param workers at least one
 */
export function microBatchForAll(recipe: Batches, workers: readonly WorkerMemory[], trainSamples: number): number | null {
  const sizes = workers.map((worker) => microBatchOn(recipe, worker, trainSamples)).filter((size) => size !== null);
  return sizes.length === 0 ? null : Math.min(...sizes);
}

/** Why no micro-batch was found on any of these workers: the values, the rule, and what to change. */
export function tooLittleMemory(recipe: Batches, workers: readonly WorkerMemory[], trainSamples: number): string {
  const { variant, imageSizePx, batchNorm, globalBatchSize, recompute } = recipe;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const fewest = batchNorm === 'batch' ? 2 : 1;
  if (batchNorm === 'batch' && trainSamples < 2)
    return `the train split has ${trainSamples} image(s), and batchNorm "batch" needs micro-batches of at least 2. Use batchNorm "frozen", or more images.`;
  const most = Math.max(...workers.map((worker) => imagesThatFit(recipe, worker)));
  if (most >= fewest)
    return `globalBatchSize ${globalBatchSize} has no divisor from ${fewest} to ${Math.min(most, trainSamples)}, the most images per micro-batch that fit. Use a globalBatchSize that is a power of two.`;
  const largest = Math.max(...workers.map(({ memoryBudgetBytes }) => memoryBudgetBytes ?? 0));
  const scale = Math.min(...workers.map(({ memoryScale }) => memoryScale));
  return (
    `${variant} at ${imageSizePx} px needs ${gib(trainingMemoryBytes(recipe, fewest, scale))} with micro-batches of ${fewest}, the smallest that batchNorm "${batchNorm}" allows; ` +
    `the largest worker may use ${gib(largest)}. Use ${recompute ? '' : 'recompute, '}a smaller imageSizePx, a smaller variant${batchNorm === 'batch' ? ', batchNorm "frozen"' : ''}, ` +
    `a worker with more memory (WORKER_MEMORY_BYTES says how much it may use), or set microBatchSize yourself.`
  );
}
