import type { ClassWeighting } from '@roentgen/domain';

/**
 * How much a sample of each class counts in the loss: 1, or with `balanced` n / (k · nᵢ), where k is the number of classes that occur
 * (King & Zeng 2001; the same as scikit-learn's). Averages to 1 over the samples. The side that loads the images applies it, as the
 * samples' weights; the graph only sees those.
 * @param labels of the whole train split, in [0, numClasses)
 */
export function classWeights(weighting: ClassWeighting, labels: Iterable<number>, numClasses: number): Float32Array {
  const weights = new Float32Array(numClasses).fill(1);
  if (weighting === 'none') return weights;
  const counts = new Array<number>(numClasses).fill(0);
  let total = 0;
  for (const label of labels) {
    counts[label] = (counts[label] ?? 0) + 1;
    total += 1;
  }
  const occurring = counts.filter((count) => count > 0).length;
  return weights.map((_, label) => (counts[label] ? total / (occurring * counts[label]) : 1));
}
