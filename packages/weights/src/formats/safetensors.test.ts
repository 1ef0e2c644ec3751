import { expect, test } from 'vitest';
import { WEIGHTS_LIMITS } from '../limits.js';
import { readSafetensors } from './safetensors.js';

/** @param header as JSON, or any other text or bytes */
function file(header: unknown, dataBytes: number): Uint8Array {
  const text = header instanceof Buffer ? header : Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}
const floats = (shape: readonly number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

test.each([
  ['overlapping tensors', { a: floats([2], 0, 8), b: floats([2], 4, 12) }, 12, 'the tensor before it ends at 8'],
  ['a gap', { a: floats([1], 0, 4), b: floats([1], 8, 12) }, 12, '"b" begins at byte 8'],
  ['an offset far outside', { a: floats([1], 0, 4), b: floats([1], 2 ** 50, 2 ** 50 + 4) }, 4, '"b" begins at byte 1125899906842624'],
  ['a shape that is not that of the bytes', { a: floats([3, 3], 0, 4) }, 4, '[3, 3] F32 needs 36 bytes'],
  ['a tensor of terabytes', { a: floats([2 ** 20, 2 ** 20], 0, 2 ** 42) }, 4, 'elements of "a": 1099511627776: at most'],
  [
    'more tensors than any network has',
    Object.fromEntries(Array.from({ length: WEIGHTS_LIMITS.tensors + 1 }, (_, i) => [`t${i}`, floats([0], 0, 0)])),
    0,
    'tensors of the file: 20001',
  ],
  [
    'a name that is no text',
    Buffer.from('{"\xff":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 'latin1'),
    4,
    'it is a JSON object in UTF-8',
  ],
  ['too few bytes', { a: floats([4], 0, 16) }, 12, '12 bytes of data: the tensors need 16'],
  ['bytes of no tensor', { a: floats([1], 0, 4) }, 9, '5 bytes after the last tensor'],
  ['a negative dimension', { a: floats([-1], 0, 4) }, 4, 'the description of "a"'],
  ['an element type of no network', { a: { ...floats([1], 0, 4), dtype: 'F8_E4M3' } }, 4, '"a" has the element type F8_E4M3'],
  [
    'a name of an object’s own method for an element type',
    { a: { ...floats([1], 0, 4), dtype: 'toString' } },
    4,
    'the element type toString',
  ],
  ['no JSON', '{"a":', 4, 'it is a JSON object in UTF-8'],
  [
    'too many dimensions',
    {
      a: floats(
        Array.from({ length: 9 }, () => 1),
        0,
        4,
      ),
    },
    4,
    'dimensions of "a": 9',
  ],
])('%s is refused', (_, header, dataBytes, message) => {
  expect(() => readSafetensors(file(header, dataBytes))).toThrow(message);
});

test('a header longer than any is not even looked for', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(2n ** 62n);
  expect(() => readSafetensors(bytes)).toThrow(`at most ${WEIGHTS_LIMITS.headerBytes} are read`);
});

test('a header that is longer than the file is cut off, even where what is there can be read', () => {
  const bytes = Buffer.from(file({}, 0));
  expect(readSafetensors(bytes).size).toBe(0);
  bytes.writeBigUInt64LE(3n);
  expect(() => readSafetensors(bytes)).toThrow(expect.objectContaining({ code: 'WEIGHTS_TRUNCATED', rule: 'the file announces 3' }));
});

test('bytes at an odd address, scalars and empty tensors are read', () => {
  const whole = file({ scalar: floats([], 0, 4), empty: floats([0, 3], 4, 4) }, 4);
  const shifted = new Uint8Array(whole.length + 1).subarray(1);
  shifted.set(whole);
  const tensors = readSafetensors(shifted);
  expect([...tensors.values()].map(({ name, data }) => [name, data.length])).toEqual([
    ['scalar', 1],
    ['empty', 0],
  ]);
});
