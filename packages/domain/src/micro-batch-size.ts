/**
 * The largest number of samples per session call that every step consists of whole ones of: a divisor of `globalBatchSize`, so with the
 * usual powers of two it is one itself. Larger ones compute faster and give batch norm more images to average over.
 * @param most what fits, at least 1
 */
export function largestMicroBatch(globalBatchSize: number, most: number): number {
  let size = Math.min(globalBatchSize, Math.floor(most));
  while (globalBatchSize % size !== 0) size--;
  return size;
}

interface BatchSizes {
  readonly globalBatchSize: number;
  readonly microBatchSize: number;
  readonly batchNorm: 'batch' | 'frozen';
}

/** Micro-batches of an epoch. Padding would enter a batch's own statistics, so with those an incomplete last micro-batch is left out. */
export function microBatchesPerEpoch({ microBatchSize, batchNorm }: BatchSizes, sampleCount: number): number {
  return batchNorm === 'batch' ? Math.floor(sampleCount / microBatchSize) : Math.ceil(sampleCount / microBatchSize);
}

/** Optimiser updates of an epoch over `sampleCount` images; the last one may have fewer micro-batches than the others. */
export function stepsPerEpoch(sizes: BatchSizes, sampleCount: number): number {
  return Math.ceil(microBatchesPerEpoch(sizes, sampleCount) / (sizes.globalBatchSize / sizes.microBatchSize));
}
