import { InvalidBatchError } from './errors.js';
import type { MicroBatchPlan } from './plan.js';

/** The images of one session call. */
export interface MicroBatch {
  /** [n, s, s, 3] RGB bytes. */
  readonly images: Uint8Array;
  /** [n] class indices. */
  readonly labels: Int32Array;
  /** [n]; 0 for padding. */
  readonly weights: Float32Array;
  /** What was really fed, padding left out. */
  readonly sampleIds: readonly string[];
}

/** A decoded sample of the train split. */
export interface TrainingSample {
  readonly id: string;
  readonly label: number;
  /** How much it counts in the loss; 1 by default. */
  readonly weight?: number;
  /** [s, s, 3] RGB bytes. */
  readonly pixels: Uint8Array;
}

/** Where a micro-batch is put together. */
export type MicroBatchArrays = Pick<MicroBatch, 'images' | 'labels' | 'weights'>;

function newArrays(size: number, imageBytes: number): MicroBatchArrays {
  return { images: new Uint8Array(size * imageBytes), labels: new Int32Array(size), weights: new Float32Array(size) };
}

/**
 * Puts decoded samples where the plan wants them, into `target` or into new arrays.
 * @throws InvalidBatchError when an image has another size
 */
export function assembleMicroBatch(
  plan: MicroBatchPlan,
  imageSizePx: number,
  sample: (index: number) => TrainingSample,
  target: MicroBatchArrays = newArrays(plan.slots.length, imageSizePx * imageSizePx * 3),
): MicroBatch {
  const imageBytes = imageSizePx * imageSizePx * 3;
  const { images, labels, weights } = target;
  const sampleIds: string[] = [];
  plan.slots.forEach(({ sample: index, padding }, slot) => {
    const { id, label, weight = 1, pixels } = sample(index);
    if (pixels.length !== imageBytes) {
      const message = `sample "${id}" has ${pixels.length} bytes; ${imageSizePx} × ${imageSizePx} RGB pixels are ${imageBytes}.`;
      throw new InvalidBatchError(message, { sample: id, bytes: pixels.length, imageSizePx });
    }
    images.set(pixels, slot * imageBytes);
    labels[slot] = label;
    weights[slot] = padding ? 0 : weight;
    if (!padding) sampleIds.push(id);
  });
  return { images, labels, weights, sampleIds };
}
