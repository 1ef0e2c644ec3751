const CHANNELS = 3;
/** Pixels of the source that one of the result is made of, per direction. */
const TAPS = 4;
/** Keys 1981: −1/2 is Catmull-Rom, which reproduces polynomials up to the second degree. */
const A = -0.5;

/**
 * Bicubic interpolation to a larger picture, with pixel centres as the grid: pixel i of the result lies at (i + ½)·size/sizeOut − ½ of the
 * source. libvips has no such: its upsizing is off by half a pixel of the result and always rounds down. Beyond its edges the source
 * does not exist: the weights inside are scaled to a sum of 1, as Pillow does.
 *
 * @param pixels [height, width, 3] uint8
 * @param sizePx side of the result, at least `width` and `height`, which are at least 4
 * @returns [sizePx, sizePx, 3] uint8
 */
export function enlargeBicubic(pixels: Uint8Array, width: number, height: number, sizePx: number): Uint8Array {
  const wide = stretchRows(pixels, height, width, sizePx);
  return stretchColumns(wide, height, sizePx);
}

/** [rows, width, 3] → [rows, sizePx, 3], not rounded */
function stretchRows(pixels: Uint8Array, rows: number, width: number, sizePx: number): Float32Array {
  const { firsts, weights } = tapsOf(width, sizePx);
  const result = new Float32Array(rows * sizePx * CHANNELS);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < sizePx; column++) {
      const tap = column * TAPS;
      const [a, b, c, d] = [weights[tap]!, weights[tap + 1]!, weights[tap + 2]!, weights[tap + 3]!];
      let from = (row * width + firsts[column]!) * CHANNELS;
      for (let channel = 0; channel < CHANNELS; channel++, at++, from++) {
        result[at] = a * pixels[from]! + b * pixels[from + CHANNELS]! + c * pixels[from + 2 * CHANNELS]! + d * pixels[from + 3 * CHANNELS]!;
      }
    }
  }
  return result;
}

/** [height, sizePx, 3] → [sizePx, sizePx, 3] whole grey levels */
function stretchColumns(pixels: Float32Array, height: number, sizePx: number): Uint8Array {
  const { firsts, weights } = tapsOf(height, sizePx);
  const length = sizePx * CHANNELS;
  const result = new Uint8ClampedArray(sizePx * length);
  for (let row = 0, at = 0; row < sizePx; row++) {
    const tap = row * TAPS;
    const [a, b, c, d] = [weights[tap]!, weights[tap + 1]!, weights[tap + 2]!, weights[tap + 3]!];
    const from = firsts[row]! * length;
    for (let i = from; i < from + length; i++, at++) {
      const value = a * pixels[i]! + b * pixels[i + length]! + c * pixels[i + 2 * length]! + d * pixels[i + 3 * length]!;
      // Half up; the array itself would round halves to even.
      result[at] = Math.floor(value + 0.5);
    }
  }
  return new Uint8Array(result.buffer);
}

/** For each pixel of the result: the first of the four that it is made of, and their weights. At an edge the four lie inside, with weights of 0. */
function tapsOf(size: number, sizeOut: number): { readonly firsts: Int32Array; readonly weights: Float64Array } {
  const firsts = new Int32Array(sizeOut);
  const weights = new Float64Array(sizeOut * TAPS);
  for (let index = 0; index < sizeOut; index++) {
    const centre = ((index + 0.5) * size) / sizeOut - 0.5;
    const first = Math.max(0, Math.min(size - TAPS, Math.floor(centre) - 1));
    const raw = Array.from({ length: TAPS }, (_, tap) => kernel(centre - first - tap));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    firsts[index] = first;
    raw.forEach((weight, tap) => (weights[index * TAPS + tap] = weight / sum));
  }
  return { firsts, weights };
}

/** Cubic convolution (Keys 1981, eq. 15); 0 from a distance of 2 on. */
function kernel(signedDistance: number): number {
  const x = Math.abs(signedDistance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
}
