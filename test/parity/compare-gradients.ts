import { viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import type { Measurement } from './context.js';
import { angleDistance, norm, relativeL2 } from './distances.js';

/** Of each compared gradient: ‖ours − theirs‖₂ / ‖theirs‖₂, and 1 − cosine. */
export const GRADIENT_BOUNDS = { relativeL2: 1e-3, angle: 1e-4 } as const;

/**
 * The farthest of all relevant gradients.
 *
 * @param relevantPart gradients with at most this part of the peer's total norm are left out
 * @throws Error when the peer has none for a parameter, a number of its is not finite, or nothing is left to compare
 */
export function compareGradients(
  { entries }: StateLayout,
  ours: Float32Array,
  theirs: ReadonlyMap<string, Float32Array>,
  relevantPart: number,
): Measurement[] {
  const pairs = entries.map((entry) => {
    const gradient = theirs.get(entry.name);
    if (!gradient) throw new Error(`the peer has no gradient of "${entry.name}".`);
    if (!gradient.every(Number.isFinite)) throw new Error(`the peer's gradient of "${entry.name}" is not finite.`);
    return { ours: viewEntry(ours, entry), theirs: gradient };
  });
  const total = norm(pairs.map((pair) => norm(pair.theirs)));
  const relevant = pairs.filter((pair) => norm(pair.theirs) > total * relevantPart);
  if (relevant.length === 0) throw new Error(`none of ${pairs.length} gradients is larger than ${relevantPart} of the total.`);
  const farthest = (distance: (a: Float32Array, b: Float32Array) => number) =>
    relevant.reduce((far, pair) => Math.max(far, distance(pair.ours, pair.theirs)), 0);
  return [
    { what: `relative L2 of ${relevant.length} gradients`, distance: farthest(relativeL2), bound: GRADIENT_BOUNDS.relativeL2 },
    { what: `1 − cosine of ${relevant.length} gradients`, distance: farthest(angleDistance), bound: GRADIENT_BOUNDS.angle },
  ];
}
