import { expect, test } from 'vitest';
import { WeightsFileError } from '../errors.js';
import { readPickle } from './pickle-reader.js';
import { PickleDict, TensorRef } from './pickle-values.js';
import { materializeTensors } from './torch-tensors.js';

const read = (pickle: string) => readPickle(Buffer.from(pickle, 'latin1')).value;

/** Protocol 0 text, as short as pickles get: a tensor of storage "0" with the given offset, shape and strides. */
function tensorPickle(storageLength: number, offset: number, shape: readonly number[], strides: readonly number[]): string {
  const tuple = (values: readonly number[]) => `(${values.map((value) => `I${value}\n`).join('')}t`;
  const storage = `(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuI${storageLength}\ntQ`;
  return `ctorch._utils\n_rebuild_tensor_v2\n(${storage}I${offset}\n${tuple(shape)}${tuple(strides)}I00\nNtR`;
}
/** The tensor `w` over a storage of 0, 1, 2, … */
function tensor(storageLength: number, offset: number, shape: readonly number[], strides: readonly number[]): Float32Array | undefined {
  const value = read(`(dU\x01w${tensorPickle(storageLength, offset, shape, strides)}s.`);
  const bytes = new Uint8Array(Float32Array.from({ length: storageLength }, (_, i) => i).buffer);
  return materializeTensors(value, () => bytes).get('w')?.data;
}

test('plain values, containers and shared references are built', () => {
  const list = read('\x80\x02]q\x00(K\x01M\x00\x01J\xff\xff\xff\xffG?\xf8\0\0\0\0\0\0X\x02\0\0\0\xc3\xa4\x8a\x02\xff\x7fh\x00e.');
  expect(Array.isArray(list) && list.slice(0, -1)).toEqual([1, 256, -1, 1.5, 'ä', 32767]);
  expect(Array.isArray(list) && list.at(-1)).toBe(list);
  expect(read('(I1\nI-2\nI01\nNL5L\nt.')).toEqual([1, -2, true, null, 5]);
  const dict = read('ccollections\nOrderedDict\n)R(U\x01aK\x01U\x01bK\x02u}b.');
  expect(dict instanceof PickleDict && [...dict.items]).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});

test.each([
  ['os.system', 'cos\nsystem\n(U\x02idtR.', 'the pickle asks for "os.system"'],
  ['eval', 'c__builtin__\neval\n(U\x011tR.', 'the pickle asks for "__builtin__.eval"'],
  [
    'a whole model',
    'ctorchvision.models.efficientnet\nEfficientNet\n)\x81.',
    'the pickle asks for "torchvision.models.efficientnet.EfficientNet"',
  ],
  ['a name of protocol 4', '\x80\x04\x8c\x05posix\x8c\x06system\x93.', 'the pickle asks for "posix.system"'],
  ['a name that objects inherit', 'ctorch\nconstructor\n.', 'the pickle asks for "torch.constructor"'],
  ['INST', '(ios\nsystem\n.', 'opcode 0x69'],
  ['OBJ', '(o.', 'opcode 0x6f'],
  ['NEWOBJ', '))\x81.', 'opcode 0x81'],
  ['the extension registry', '\x82\x01.', 'opcode 0x82'],
  ['a call of a storage class', 'ctorch\nFloatStorage\n)R.', 'calls what is no function'],
  ['a call of a text', 'U\x02os)R.', 'calls what is no function'],
  ['the state of a list', ']]b.', 'sets the state of an object'],
])('%s is refused and named', (_, pickle, message) => {
  expect(() => read(pickle)).toThrow(message);
  expect(() => read(pickle)).toThrow(expect.objectContaining({ code: 'WEIGHTS_FORBIDDEN_PICKLE' }));
});

test.each([
  ['an empty stack', '0.', 'an operation on an empty stack'],
  ['a mark that was never set', 't.', 'a mark that was never set'],
  ['an unknown memo entry', 'h\x05.', 'memo entry 5'],
  ['a persistent id of something else', 'U\x02idQ.', 'a persistent id that is no storage'],
  ['values left over', 'NN.', 'values left on the stack'],
  ['an unreadable number', 'Iabc\n.', 'the number "abc"'],
  ['a dictionary as key', '}}Ns.', 'a key that is no text and no number'],
  ['a number of many bytes', '\x8b\x00\x00\x00\x40.', 'a number of 1073741824 bytes'],
  ['text past the end', 'X\xff\xff\xff\x7fabc.', 'a pickle that ends at byte 9'],
  ['no end', 'NNN', 'a pickle that ends at byte 3'],
])('%s is malformed', (_, pickle, message) => {
  expect(() => read(pickle)).toThrow(message);
  expect(() => read(pickle)).toThrow(WeightsFileError);
});

test('a pickle that makes values without end is stopped', () => {
  expect(() => readPickle(Buffer.alloc(3_000_000, 'N'))).toThrow('values of the pickle: 2000001: at most 2000000 are read');
});

test('a list that is used again and again is stopped too', () => {
  const pairs = `(l${'(U\x01aNta'.repeat(1000)}q\x00`;
  const reused = 'ccollections\nOrderedDict\n(h\x00tR'.repeat(3000);
  expect(() => read(`${pairs}${reused}.`)).toThrow('values of the pickle: 2000001');
  const longShape = Array.from({ length: 9 }, () => 1);
  expect(() => tensor(1, 0, longShape, longShape)).toThrow('at most 8 dimensions');
});

test('strided views are copied row by row', () => {
  expect(read(`${tensorPickle(6, 0, [2, 3], [3, 1])}.`)).toBeInstanceOf(TensorRef);
  expect(tensor(6, 0, [3, 2], [1, 3])).toEqual(Float32Array.of(0, 3, 1, 4, 2, 5));
  expect(tensor(9, 1, [2, 2], [4, 2])).toEqual(Float32Array.of(1, 3, 5, 7));
  expect(tensor(2, 1, [3], [0])).toEqual(Float32Array.of(1, 1, 1));
  expect(tensor(3, 2, [], [])).toEqual(Float32Array.of(2));
  expect(tensor(3, 3, [0, 4], [4, 1])).toEqual(new Float32Array());
});

test('views that reach past their storage, backwards or into terabytes are refused', () => {
  expect(() => tensor(6, 0, [2, 4], [3, 1])).toThrow(
    '"w" [2, 4] with strides [3, 1] from element 0 reaches element 6: its storage "0" has 6',
  );
  expect(() => tensor(6, 9_007_199_254_740_991, [1], [1])).toThrow('reaches element 9007199254740991');
  expect(() => tensor(6, -1, [1], [1])).toThrow('a tensor without storage, offset, shape and strides');
  expect(() => tensor(6, 0, [1], [-1])).toThrow('a tensor without storage, offset, shape and strides');
  expect(() => tensor(1, 0, [1_000_000, 1_000_000], [0, 0])).toThrow('elements of "w": 1000000000000');
});
