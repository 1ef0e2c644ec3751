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
