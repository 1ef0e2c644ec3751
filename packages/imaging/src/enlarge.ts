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
 * @param sizePx side of the result, at least `width` and `height`
 * @returns [sizePx, sizePx, 3] uint8
 */
export function enlargeBicubic(pixels: Uint8Array, width: number, height: number, sizePx: number): Uint8Array {
  const wide = stretchRows(pixels, height, width, sizePx);
  return stretchColumns(wide, height, sizePx);
}

interface Tap {
  /** First pixel of the source; the following ones up to `weights.length` count too. */
  readonly first: number;
  readonly weights: readonly number[];
}

/** [rows, width, 3] → [rows, sizePx, 3], not rounded */
function stretchRows(pixels: Uint8Array, rows: number, width: number, sizePx: number): Float32Array {
  const taps = tapsOf(width, sizePx);
  const result = new Float32Array(rows * sizePx * CHANNELS);
  for (let row = 0, at = 0; row < rows; row++) {
    for (const { first, weights } of taps) {
      const from = (row * width + first) * CHANNELS;
      for (let channel = 0; channel < CHANNELS; channel++, at++) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) sum += weights[tap]! * pixels[from + tap * CHANNELS + channel]!;
        result[at] = sum;
      }
    }
  }
  return result;
}

/** [height, sizePx, 3] → [sizePx, sizePx, 3] whole grey levels */
function stretchColumns(pixels: Float32Array, height: number, sizePx: number): Uint8Array {
  const rowLength = sizePx * CHANNELS;
  const result = new Uint8ClampedArray(sizePx * rowLength);
  tapsOf(height, sizePx).forEach(({ first, weights }, row) => {
    for (let column = 0; column < rowLength; column++) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum += weights[tap]! * pixels[(first + tap) * rowLength + column]!;
      // Half up on every machine; the array itself would round halves to even.
      result[row * rowLength + column] = Math.floor(sum + 0.5);
    }
  });
  return new Uint8Array(result.buffer);
}

function tapsOf(size: number, sizeOut: number): Tap[] {
  return Array.from({ length: sizeOut }, (_, index) => {
    const centre = ((index + 0.5) * size) / sizeOut - 0.5;
    const before = Math.floor(centre) - (TAPS / 2 - 1);
    const first = Math.max(0, before);
    const count = Math.min(size, before + TAPS) - first;
    const raw = Array.from({ length: count }, (_, tap) => kernel(centre - first - tap));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: raw.map((weight) => weight / sum) };
  });
}

/** Cubic convolution (Keys 1981, eq. 15); 0 from a distance of 2 on. */
function kernel(signedDistance: number): number {
  const x = Math.abs(signedDistance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
}
