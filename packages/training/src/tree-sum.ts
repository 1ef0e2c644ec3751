/**
 * Adds leaves in the order of one fixed binary tree: leaf pairs first, then pairs of pairs. Floating-point addition is not associative,
 * so a sum has the same bits on any number of workers only if the tree is the same. Where the number of leaves is no power of two, the
 * left part of each split is the largest power of two below it.
 *
 * Leaves are pushed from left to right; an aligned block of 2ˡ leaves (starting at a multiple of 2ˡ) that was summed elsewhere by the
 * same rule may be pushed whole at level l. At most log₂ n partial sums are held.
 */
export class TreeSum<T> {
  private readonly partial: { readonly level: number; readonly sum: T }[] = [];

  /** @param add may write into `left` and return it */
  constructor(private readonly add: (left: T, right: T) => T) {}

  push(value: T, level = 0): void {
    const below = this.partial.at(-1);
    if (below && below.level < level) {
      throw new RangeError(`a block of level ${level} is not aligned: a block of level ${below.level} lies before it.`);
    }
    if (below?.level === level) {
      this.partial.pop();
      this.push(this.add(below.sum, value), level + 1);
    } else {
      this.partial.push({ level, sum: value });
    }
  }

  /** The sum of everything pushed. @throws RangeError when nothing was */
  finish(): T {
    const sums = this.partial.splice(0).map(({ sum }) => sum);
    const last = sums.pop();
    if (last === undefined) throw new RangeError('a sum of no leaves has no value.');
    return sums.reduceRight((right, left) => this.add(left, right), last);
  }
}
