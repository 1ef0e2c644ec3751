import { expect, test } from 'vitest';
import { WeightsFileError } from '../errors.js';
import { WEIGHTS_LIMITS } from '../limits.js';
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
  ['a call of an OrderedDict with a text', 'ccollections\nOrderedDict\nU\x02abR.', 'calls what is no function'],
  ['an allowed name of another module', 'cevil\nOrderedDict\n.', 'the pickle asks for "evil.OrderedDict"'],
  ['an allowed function of another module', 'cevil\n_rebuild_tensor_v2\n.', 'the pickle asks for "evil._rebuild_tensor_v2"'],
  ['a storage of another module', 'cevil\nFloatStorage\n.', 'the pickle asks for "evil.FloatStorage"'],
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
  ['a line without end', 'I12', 'a pickle that ends at byte 3'],
  ['a mark left over', '(N.', 'values left on the stack'],
  ['a number that floats cannot hold', 'I9007199254740993\n.', 'the number "9007199254740993"'],
  ['an append to a dictionary', '}Na.', 'an append to what is no list'],
  ['an item for a list', ']NNs.', 'an item for what is no dictionary'],
  ['a key without its value', '}(Nu.', 'an item for what is no dictionary'],
  ['a dictionary of a key without its value', '(U\x01ad.', 'a dictionary with a key but no value'],
  ['an OrderedDict of two lists', 'ccollections\nOrderedDict\n(]]tR.', 'an OrderedDict of something else than pairs'],
  ['an OrderedDict of a text', 'ccollections\nOrderedDict\n(U\x02abtR.', 'an OrderedDict of something else than pairs'],
  ['an OrderedDict of triples', 'ccollections\nOrderedDict\n((l(U\x01aNNtatR.', 'an OrderedDict of something else than pairs'],
])('%s is malformed', (_, pickle, message) => {
  expect(() => read(pickle)).toThrow(message);
  expect(() => read(pickle)).toThrow(WeightsFileError);
});

/** A persistent id of these parts, each a piece of pickle. */
const storageId = ({ tag = 'U\x07storage', kind = 'ctorch\nFloatStorage\n', key = 'U\x010', length = 'I4\n', view = '' } = {}) =>
  `(${tag}${kind}${key}U\x03cpu${length}${view}tQ`;
const rebuilt = ({ storage = storageId(), offset = 'I0\n', shape = '(I2\nt', strides = '(I1\nt' } = {}) =>
  `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${offset}${shape}${strides}I00\nNtR.`;

test.each([
  ['of another tag', { tag: 'U\x06module' }],
  ['of no class', { kind: 'U\x05Float' }],
  ['of a function', { kind: 'ccollections\nOrderedDict\n' }],
  ['with a number for a name', { key: 'I0\n' }],
  ['of a length below 0', { length: 'I-4\n' }],
  ['of a broken length', { length: 'G\x3f\xf8\0\0\0\0\0\0' }],
  ['of a length in words', { length: 'U\x014' }],
])('a storage %s is malformed', (_, parts) => {
  expect(read(`${storageId()}.`)).toMatchObject({ key: '0', dtype: 'F32', length: 4 });
  expect(() => read(`${storageId(parts)}.`)).toThrow('a persistent id that is no storage');
});

test('a view of a storage is not read, and a storage is what it was the first time', () => {
  for (const view of ['(t', 'U\x01v']) expect(() => read(`${storageId({ view })}.`)).toThrow('a view of storage "0"');
  expect(read(`${storageId({ view: 'N' })}.`)).toMatchObject({ key: '0' });
  const twice = (second: Parameters<typeof storageId>[0]) => read(`(${storageId()}${storageId(second)}t.`);
  expect(twice({})).toHaveLength(2);
  expect(() => twice({ length: 'I5\n' })).toThrow('two different storages "0"');
  expect(() => twice({ kind: 'ctorch\nIntStorage\n' })).toThrow('two different storages "0"');
});

test.each([
  ['on a text', { storage: 'U\x010' }],
  ['from half an element', { offset: 'G\x3f\xe0\0\0\0\0\0\0' }],
  ['from before its storage', { offset: 'I-1\n' }],
  ['of a text for a shape', { shape: 'U\x012' }],
  ['of a broken dimension', { shape: '(G\x3f\xf8\0\0\0\0\0\0t' }],
  ['of a dimension below 0', { shape: '(I-2\nt' }],
  ['with a text for strides', { strides: 'U\x011' }],
  ['that goes backwards', { strides: '(I-1\nt' }],
  ['with more strides than dimensions', { strides: '(I1\nI1\nt' }],
])('a tensor %s is malformed', (_, parts) => {
  expect(read(rebuilt())).toBeInstanceOf(TensorRef);
  expect(() => read(rebuilt(parts))).toThrow('a tensor without storage, offset, shape and strides');
});

test('a shape of very many dimensions is not even walked', () => {
  const shape = `(${'I1\n'.repeat(9)}t`;
  expect(() => read(rebuilt({ shape, strides: shape }))).toThrow('at most 8 dimensions');
  const eight = `(${'I1\n'.repeat(8)}t`;
  expect(read(rebuilt({ shape: eight, strides: eight }))).toBeInstanceOf(TensorRef);
});

test('a pickle is read up to 16 MiB, however little it makes', () => {
  const text = (bytes: number) => {
    const pickle = Buffer.alloc(5 + bytes + 1, 'a');
    pickle.write('X');
    pickle.writeUInt32LE(bytes, 1);
    pickle.write('.', 5 + bytes);
    return pickle;
  };
  const most = WEIGHTS_LIMITS.headerBytes - 6;
  expect(readPickle(text(most)).end).toBe(WEIGHTS_LIMITS.headerBytes);
  for (const bytes of [most + 1, most + 100]) {
    expect(() => readPickle(text(bytes)), `${bytes}`).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_LIMIT', value: 'a pickle without end' }),
    );
  }
});

test('numbers have at most 64 bytes', () => {
  const long = (bytes: number) => `\x8b${String.fromCharCode(bytes)}\0\0\0${'\x01'.repeat(bytes)}.`;
  expect(typeof read(long(64))).toBe('bigint');
  expect(() => read(long(65))).toThrow('a number of 65 bytes: numbers have at most 64');
});

test('a pickle that makes values without end is stopped', () => {
  for (const opcode of ['N', '(', ']'])
    expect(() => readPickle(Buffer.alloc(3_000_000, opcode)), opcode).toThrow('values of the pickle: 2000001: at most 2000000 are read');
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

test('many views and many storages are counted together, before the first is read', () => {
  const unread = () => expect.unreachable('a storage was read');
  const items = (of: (i: number) => Parameters<typeof rebuilt>[0], count: number) =>
    Array.from({ length: count }, (_, i) => `I${i}\n${rebuilt(of(i)).slice(0, -1)}s`).join('');
  const quarter = WEIGHTS_LIMITS.elements / 4;
  const storages = items((i) => ({ storage: storageId({ key: `U\x01${i}`, length: `I${quarter}\n` }) }), 5);
  expect(() => materializeTensors(read(`}${storages}.`), unread)).toThrow(`elements of all storages: ${5 * quarter}: at most`);
  const views = items(() => ({ shape: `(I${quarter}\nt`, strides: '(I0\nt' }), 5);
  expect(() => materializeTensors(read(`}${views}.`), unread)).toThrow(`elements of all tensors: ${5 * quarter}: at most`);
  const many = items(() => ({ shape: '(I0\nt' }), WEIGHTS_LIMITS.tensors + 1);
  expect(() => materializeTensors(read(`}${many}.`), unread)).toThrow('tensors of the file: 20001: at most 20000');
});

test('a storage has to be as long as it says', () => {
  const tensors = read(`}U\x01w${rebuilt().slice(0, -1)}s.`);
  for (const [bytes, code] of [
    [15, 'WEIGHTS_TRUNCATED'],
    [17, 'WEIGHTS_MALFORMED'],
  ] as const) {
    expect(() => materializeTensors(tensors, () => new Uint8Array(bytes))).toThrow(
      expect.objectContaining({ code, value: `storage "0" of ${bytes} bytes`, rule: '4 × F32 are 16' }),
    );
  }
  expect(materializeTensors(tensors, () => new Uint8Array(16)).get('w')?.data).toEqual(new Float32Array(2));
});
