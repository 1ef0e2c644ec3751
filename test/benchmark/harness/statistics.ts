/** Middle of the sorted values, the mean of the two middle ones where their number is even. NaN without values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Median of left[i] / right[i]: what happens to the whole machine in a round happens to both. */
export function medianRatio(left: readonly number[], right: readonly number[]): number {
  return median(left.map((value, round) => value / (right[round] ?? Number.NaN)));
}

/** Four significant digits: more would be noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Who works when: forwards in even rounds, backwards in odd ones, so that nobody is always after the same neighbour. */
export function orderOfRound<T>(contestants: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? contestants : [...contestants].reverse();
}
