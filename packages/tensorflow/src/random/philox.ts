const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUNDS = 10;
const TWO_POW_32 = 4294967296;

/**
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): random numbers as a pure function of a key and a
 * counter, the same bits on every machine, and the same family that TensorFlow's stateless operations use. Unlike a generator with
 * state, any number of a stream can be had without those before it.
 */
export class Philox {
  private readonly key0: number;
  private readonly key1: number;
  private readonly block = new Uint32Array(4);
  private blockIndex = 0;
  private used = 4;

  /**
   * @param seed integer in [0, 2⁵³)
   * @param stream up to three numbers in [0, 2³²) that name an independent stream under the seed: an epoch, a sample, a tensor
   */
  constructor(
    seed: number,
    private readonly stream: readonly [number?, number?, number?] = [],
  ) {
    this.key0 = seed >>> 0;
    this.key1 = Math.floor(seed / TWO_POW_32) >>> 0;
  }

  /** Uniform integer in [0, 2³²). */
  nextUint32(): number {
    if (this.used === 4) {
      const [a = 0, b = 0, c = 0] = this.stream;
      philoxBlock(this.blockIndex++, a, b, c, this.key0, this.key1, this.block);
      this.used = 0;
    }
    return this.block[this.used++] ?? 0;
  }

  /** Uniform in [0, 1), a multiple of 2⁻³². */
  nextUniform(): number {
    return this.nextUint32() / TWO_POW_32;
  }

  /** Uniform integer in [0, bound), without the bias of a plain remainder. bound ≤ 2³² */
  nextBelow(bound: number): number {
    const limit = TWO_POW_32 - (TWO_POW_32 % bound);
    for (;;) {
      const value = this.nextUint32();
      if (value < limit) return value % bound;
    }
  }

  /** Two independent standard normal numbers (Box & Muller 1958). */
  nextNormalPair(): readonly [number, number] {
    const radius = Math.sqrt(-2 * Math.log((this.nextUint32() + 1) / TWO_POW_32));
    const angle = 2 * Math.PI * this.nextUniform();
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  }
}

/** Ten Philox rounds over one counter block, into `out`. */
export function philoxBlock(c0: number, c1: number, c2: number, c3: number, key0: number, key1: number, out: Uint32Array): void {
  let x0 = c0;
  let x1 = c1;
  let x2 = c2;
  let x3 = c3;
  let k0 = key0;
  let k1 = key1;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, x0);
    const low0 = Math.imul(MULTIPLIER_0, x0);
    const high1 = multiplyHigh(MULTIPLIER_1, x2);
    const low1 = Math.imul(MULTIPLIER_1, x2);
    x0 = high1 ^ x1 ^ k0;
    x1 = low1;
    x2 = high0 ^ x3 ^ k1;
    x3 = low0;
    k0 = (k0 + KEY_STEP_0) | 0;
    k1 = (k1 + KEY_STEP_1) | 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

/** The upper 32 bits of a 32 × 32 bit product: in halves, because a double holds only 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const cross1 = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross2 = aLow * bHigh + (cross1 & 0xffff);
  return (aHigh * bHigh + Math.floor(cross1 / 65536) + Math.floor(cross2 / 65536)) | 0;
}
