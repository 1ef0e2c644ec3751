import { Philox } from '@roentgen/tensorflow';
import type { TrainingSample } from './micro-batch.js';

/** Images of random pixels with labels in turn: nothing to generalise, but a network can learn them by heart. */
export function noiseSamples(count: number, imageSizePx: number, classes: number): TrainingSample[] {
  return Array.from({ length: count }, (_, index) => {
    const random = new Philox(index, [4711]);
    const pixels = Uint8Array.from({ length: imageSizePx * imageSizePx * 3 }, () => random.nextBelow(256));
    return { id: `noise-${index}`, label: index % classes, pixels };
  });
}
