import { Philox } from '@roentgen/tensorflow';

/** What random numbers of a run are for. The starting weights use stream 0 of the same seed. */
const SHUFFLE = 1;
const DROPOUT = 3;
const AUGMENTATION = 4;

/** All randomness of a run is a pure function of its seed and of what it is for: never of a worker, nor of what was drawn before. */
export const randomStreams = {
  shuffle: (seed: number, epoch: number): Philox => new Philox(seed, [epoch, 0, SHUFFLE]),
  dropout: (seed: number, step: number, microBatch: number): Philox => new Philox(seed, [step, microBatch, DROPOUT]),
  augmentation: (seed: number, epoch: number, sample: number): Philox => new Philox(seed, [epoch, sample, AUGMENTATION]),
} as const;
