import { expect, test } from 'vitest';
import { SafetensorsError } from '../errors.js';
import { decodeSafetensors, encodeSafetensors, readSafetensorsMetadata } from './safetensors.js';

const TENSORS = [
  { name: 'a', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
  { name: 'b/kernel', shape: [3], data: Float32Array.of(-1, Number.NaN, 1e-40) },
];

/** A file with a header written by hand. */
function file(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}
const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

test('what is written is read back bit by bit', () => {
  const tensors = decodeSafetensors(encodeSafetensors(TENSORS, { format: 'test' }));
  expect([...tensors.keys()]).toEqual(['a', 'b/kernel']);
  expect(tensors.get('a')).toEqual(TENSORS[0]);
  expect(new Uint32Array(tensors.get('b/kernel')!.data.buffer)).toEqual(new Uint32Array(TENSORS[1]!.data.buffer));
});

test('the bytes are those of the format', () => {
  const bytes = encodeSafetensors([{ name: 'x', shape: [1], data: Float32Array.of(1) }], {});
  const json = '{"__metadata__":{},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
  expect(Buffer.from(bytes).readBigUInt64LE()).toBe(72n);
  expect(Buffer.from(bytes.subarray(8, 80)).toString()).toBe(json);
  expect([...bytes.subarray(80)]).toEqual([0, 0, 0x80, 0x3f]);
});

test('what was said about the file is read without its tensors', () => {
  expect(readSafetensorsMetadata(encodeSafetensors(TENSORS, { format: 'test', note: 'ä' }))).toEqual({ format: 'test', note: 'ä' });
  expect(readSafetensorsMetadata(file({ a: f32([1], 0, 4) }, 4))).toEqual({});
  expect(() => readSafetensorsMetadata(file({ __metadata__: { n: 1 } }, 0))).toThrow(SafetensorsError);
});

test('a Buffer, as files are read, gives the same tensors', () => {
  expect(decodeSafetensors(Buffer.from(encodeSafetensors(TENSORS, {}))).get('a')).toEqual(TENSORS[0]);
});

test('it can be read from the middle of a larger buffer', () => {
  const bytes = encodeSafetensors(TENSORS, {});
  const shifted = new Uint8Array(bytes.length + 5);
  shifted.set(bytes, 5);
  expect(decodeSafetensors(shifted.subarray(5)).get('a')).toEqual(TENSORS[0]);
});

test.each([
  ['nothing', new Uint8Array(0), /truncated/],
  ['cut in the header', encodeSafetensors(TENSORS, {}).subarray(0, 40), /truncated: its header/],
  ['cut in the data', encodeSafetensors(TENSORS, {}).subarray(0, -1), /truncated: its tensors need 28 bytes, it has 27/],
  ['an image', Buffer.from('ffd8ffe000104a46494600010101', 'hex'), /no safetensors file/],
  ['no JSON', Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a"')]), /no JSON/],
  ['bytes too many', Buffer.concat([encodeSafetensors(TENSORS, {}), Buffer.alloc(4)]), /belong to no tensor/],
  ['another element type', file({ a: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } }, 4), /element type F16, expected F32/],
  ['a shape that does not fit its bytes', file({ a: f32([3], 0, 8) }, 8), /needs 12 bytes, its offsets give it 8/],
  ['overlapping tensors', file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), /"b" begins at byte 4, inside/],
  ['a gap', file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /gap of 4 bytes before tensor "b"/],
  ['a negative offset', file({ a: f32([1], -4, 0) }, 0), /described wrongly/],
])('%s is refused with its reason', (_, bytes, reason) => {
  expect(() => decodeSafetensors(bytes)).toThrow(SafetensorsError);
  expect(() => decodeSafetensors(bytes)).toThrow(reason);
});
