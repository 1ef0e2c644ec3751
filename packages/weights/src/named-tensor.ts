import { WeightsFileError } from './errors.js';
import { checkLimit, WEIGHTS_LIMITS } from './limits.js';

/** Bytes per element of the element types that are read, by their safetensors names. */
export const ELEMENT_BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 } as const;
export type ElementType = keyof typeof ELEMENT_BYTES;

/** A tensor of a weight file, row-major. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** In the file. Integers above 2²⁴ are rounded in `data`; only step counters are integers in weight files. */
  readonly dtype: ElementType;
  readonly data: Float32Array;
}

export type NamedTensors = ReadonlyMap<string, NamedTensor>;

/** Number of elements. @throws WeightsFileError when a dimension is no whole number ≥ 0, the rank or the size too large */
export function elementCount(name: string, shape: readonly number[]): number {
  checkLimit('rank', shape.length, `dimensions of "${name}"`);
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', {
        value: `"${name}" has the shape [${shape.join(', ')}]`,
        rule: 'dimensions are whole numbers from 0',
      });
    }
  }
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  checkLimit('elements', count, `elements of "${name}"`);
  return count;
}

/** Keeps count of a file's tensors and their elements. */
export class TensorBudget {
  private tensors = 0;
  private elements = 0;

  take(elements: number): void {
    this.tensors += 1;
    this.elements += elements;
    checkLimit('tensors', this.tensors, 'tensors of the file');
    checkLimit('elements', this.elements, 'elements of all tensors');
  }
}

/** Little-endian elements as float32. @param bytes a whole number of elements, at any address */
export function decodeElements(bytes: Uint8Array, dtype: ElementType): Float32Array {
  const count = bytes.length / ELEMENT_BYTES[dtype];
  if (dtype === 'F32') return new Float32Array(Uint8Array.from(bytes).buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = ELEMENT_READERS[dtype];
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = read(view, i * ELEMENT_BYTES[dtype]);
  return values;
}

const ELEMENT_READERS: Readonly<Record<Exclude<ElementType, 'F32'>, (view: DataView, at: number) => number>> = {
  F64: (view, at) => view.getFloat64(at, true),
  F16: (view, at) => halfToNumber(view.getUint16(at, true)),
  BF16: (view, at) => brainToNumber(view.getUint16(at, true)),
  I64: (view, at) => Number(view.getBigInt64(at, true)),
  I32: (view, at) => view.getInt32(at, true),
  I16: (view, at) => view.getInt16(at, true),
  I8: (view, at) => view.getInt8(at),
  U8: (view, at) => view.getUint8(at),
  BOOL: (view, at) => view.getUint8(at),
};

/** IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const float32Bits = new Uint32Array(1);
const float32Value = new Float32Array(float32Bits.buffer);

/** bfloat16 is the upper half of a float32. */
function brainToNumber(bits: number): number {
  float32Bits[0] = bits << 16;
  return float32Value[0] ?? Number.NaN;
}

/** @throws WeightsFileError when the file is larger than any that is read */
export function checkFileSize(file: Uint8Array): void {
  if (file.length > WEIGHTS_LIMITS.fileBytes) checkLimit('fileBytes', file.length, 'bytes of the file');
}
