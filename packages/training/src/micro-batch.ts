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

/** Puts decoded samples where the plan wants them. @throws InvalidBatchError when an image has another size */
export function assembleMicroBatch(plan: MicroBatchPlan, imageSizePx: number, sample: (index: number) => TrainingSample): MicroBatch {
  const imageBytes = imageSizePx * imageSizePx * 3;
  const images = new Uint8Array(plan.slots.length * imageBytes);
  const labels = new Int32Array(plan.slots.length);
  const weights = new Float32Array(plan.slots.length);
  const sampleIds: string[] = [];
  plan.slots.forEach(({ sample: index, flip, padding }, slot) => {
    const { id, label, weight = 1, pixels } = sample(index);
    if (pixels.length !== imageBytes) {
      const message = `sample "${id}" has ${pixels.length} bytes; ${imageSizePx} × ${imageSizePx} RGB pixels are ${imageBytes}.`;
      throw new InvalidBatchError(message, { sample: id, bytes: pixels.length, imageSizePx });
    }
    const target = images.subarray(slot * imageBytes, (slot + 1) * imageBytes);
    target.set(pixels);
    if (flip) mirror(target, imageSizePx);
    labels[slot] = label;
    weights[slot] = padding ? 0 : weight;
    if (!padding) sampleIds.push(id);
  });
  return { images, labels, weights, sampleIds };
}

/** Swaps left and right in place. */
function mirror(pixels: Uint8Array, sizePx: number): void {
  for (let row = 0; row < sizePx; row++) {
    for (let left = 0, right = sizePx - 1; left < right; left++, right--) {
      const a = (row * sizePx + left) * 3;
      const b = (row * sizePx + right) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const kept = pixels[a + channel]!;
        pixels[a + channel] = pixels[b + channel]!;
        pixels[b + channel] = kept;
      }
    }
  }
}
