import { measuredPerImageBytes } from '@roentgen/domain';
import type { Check } from './check.js';
import { MEMORY_CASES, memoryName } from './tasks.js';

/**
 * What an image takes on this machine, as a multiple of the table that micro-batches are chosen by, without the margin. Less than the table is
 * told, too. Null where one of the two measurements is missing, or the larger batch took no more.
 */
export function memoryScaleOf(checks: readonly Check[]): number | null {
  const [small, large] = MEMORY_CASES;
  const takenBy = (name: string) => {
    const value = checks.find((check) => check.name === name && check.verdict === 'PASS')?.values.takenBytes;
    return typeof value === 'number' ? value : null;
  };
  const [less, more] = [takenBy(memoryName(small)), takenBy(memoryName(large))];
  if (less === null || more === null || more <= less) return null;
  return (more - less) / (large.batchSize - small.batchSize) / measuredPerImageBytes(small);
}
