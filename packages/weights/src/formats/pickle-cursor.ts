import { WeightsFileError } from '../errors.js';
import { WEIGHTS_LIMITS } from '../limits.js';

/** Reads forward through a pickle's bytes, never past their end nor past the limit for a pickle. */
export class PickleCursor {
  private readonly end: number;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = Math.min(bytes.length, at + WEIGHTS_LIMITS.headerBytes);
  }

  /** @returns where `length` bytes begin, and moves behind them */
  skip(length: number): number {
    const begin = this.at;
    if (length > this.end - begin) {
      if (this.end < this.bytes.length) {
        throw new WeightsFileError('WEIGHTS_LIMIT', {
          value: 'a pickle without end',
          rule: `at most ${WEIGHTS_LIMITS.headerBytes} bytes are read`,
        });
      }
      throw new WeightsFileError('WEIGHTS_TRUNCATED', {
        value: `a pickle that ends at byte ${this.bytes.length}`,
        rule: `${length} more are needed at byte ${begin}`,
      });
    }
    this.at = begin + length;
    return begin;
  }

  uint8(): number {
    return this.view.getUint8(this.skip(1));
  }

  uint16(): number {
    return this.view.getUint16(this.skip(2), true);
  }

  int32(): number {
    return this.view.getInt32(this.skip(4), true);
  }

  uint32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  /** Of a byte count; above 2⁵³ it is past the end anyway. */
  uint64(): number {
    return Number(this.view.getBigUint64(this.skip(8), true));
  }

  float64BigEndian(): number {
    return this.view.getFloat64(this.skip(8), false);
  }

  /** Two's complement, little-endian, as short as possible. */
  long(length: number): number | bigint {
    const begin = this.skip(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[begin + i] ?? 0);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  text(length: number, encoding: 'utf-8' | 'latin1' = 'utf-8'): string {
    const begin = this.skip(length);
    return new TextDecoder(encoding).decode(this.bytes.subarray(begin, this.at));
  }

  line(): string {
    const newline = this.bytes.subarray(this.at, this.end).indexOf(0x0a);
    if (newline < 0) this.skip(this.end - this.at + 1);
    const text = this.text(newline);
    this.skip(1);
    return text;
  }
}
