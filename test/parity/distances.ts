/** How far two vectors are apart. All are 0 for equal vectors, and infinite where a number is missing: NaN must not pass as near. */

type Vector = ArrayLike<number>;

/** max |ours − theirs| / max |theirs| */
export function maxDistance(ours: Vector, theirs: Vector): number {
  let [distance, scale] = [0, 0];
  for (let i = 0; i < comparableLength(ours, theirs); i++) {
    distance = larger(distance, Math.abs(ours[i]! - theirs[i]!));
    scale = larger(scale, Math.abs(theirs[i]!));
  }
  return ratio(distance, scale);
}

/** ‖ours − theirs‖₂ / ‖theirs‖₂ */
export function relativeL2(ours: Vector, theirs: Vector): number {
  let [distance, scale] = [0, 0];
  for (let i = 0; i < comparableLength(ours, theirs); i++) {
    distance += (ours[i]! - theirs[i]!) ** 2;
    scale += theirs[i]! ** 2;
  }
  return ratio(Math.sqrt(distance), Math.sqrt(scale));
}

/** 1 − cosine of the angle between the two. */
export function angleDistance(ours: Vector, theirs: Vector): number {
  let [product, left, right] = [0, 0, 0];
  for (let i = 0; i < comparableLength(ours, theirs); i++) {
    product += ours[i]! * theirs[i]!;
    left += ours[i]! ** 2;
    right += theirs[i]! ** 2;
  }
  const cosine = product / Math.sqrt(left * right);
  return Number.isNaN(cosine) ? Infinity : Math.max(0, 1 - cosine);
}

/** Mean of |ours − theirs|, in the unit of the numbers. */
export function meanDistance(ours: Vector, theirs: Vector): number {
  let distance = 0;
  for (let i = 0; i < comparableLength(ours, theirs); i++) distance += Math.abs(ours[i]! - theirs[i]!);
  return Number.isNaN(distance) ? Infinity : distance / ours.length;
}

export function norm(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value ** 2;
  return Math.sqrt(sum);
}

function ratio(distance: number, scale: number): number {
  if (distance === 0 && scale === 0) return 0;
  const quotient = distance / scale;
  return Number.isNaN(quotient) ? Infinity : quotient;
}

/** Like Math.max; NaN is the largest. */
function larger(a: number, b: number): number {
  return Number.isNaN(b) || b > a ? b : a;
}

function comparableLength(ours: Vector, theirs: Vector): number {
  if (ours.length !== theirs.length) throw new RangeError(`ours has ${ours.length} numbers, theirs ${theirs.length}.`);
  return ours.length;
}
