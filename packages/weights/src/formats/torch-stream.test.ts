import { expect, test } from 'vitest';
import { readTorchStream } from './torch-file.js';

/** The older form of torch.save, in pieces that each test may replace. */
function stream({
  magic = '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.',
  protocol = '\x80\x02M\xe9\x03.',
  machine = '}U\x0dlittle_endian\x88s.',
  root = `}U\x01w${tensor('a', 3)}sU\x01v${tensor('b', 2)}s.`,
  keys = '](U\x01aU\x01be.',
  storages = [storage(3), storage(2)],
} = {}): Buffer {
  return Buffer.concat([Buffer.from(magic + protocol + machine + root + keys, 'latin1'), ...storages]);
}
function tensor(key: string, length: number): string {
  return `ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x01${key}U\x03cpuI${length}\ntQI0\n(I${length}\nt(I1\ntI00\nNtR`;
}
/** So many floats 0, 1, 2, …, behind their announced number. */
function storage(length: number, announced = BigInt(length)): Buffer {
  const bytes = Buffer.alloc(8 + 4 * length);
  bytes.writeBigInt64LE(announced);
  for (let i = 0; i < length; i++) bytes.writeFloatLE(i, 8 + 4 * i);
  return bytes;
}

test('storages are found one after another', () => {
  const tensors = readTorchStream(stream());
  expect([...tensors.values()].map(({ name, data }) => [name, [...data]])).toEqual([
    ['w', [0, 1, 2]],
    ['v', [0, 1]],
  ]);
});

test.each<[string, Parameters<typeof stream>[0], string]>([
  ['another magic number', { magic: '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x18.' }, 'a stream with magic number'],
  ['another protocol', { protocol: 'M\xea\x03.' }, 'and protocol 1002'],
  ['a big-endian machine', { machine: '}U\x0dlittle_endian\x89s.' }, 'a file of a big-endian machine'],
  ['a machine that does not say', { machine: '}.' }, 'a file of a big-endian machine'],
  ['a machine that is a list', { machine: '].' }, 'a file of a big-endian machine'],
  ['no list of storages', { keys: 'N.' }, 'the list of storages: it is a list of texts'],
  ['a number for a storage', { keys: '](U\x01aK\x01e.' }, 'the list of storages: it is a list of texts'],
  ['a storage that no tensor has', { keys: '](U\x01aU\x01ce.' }, 'storage "c": the state dictionary mentions each listed storage once'],
  ['a storage listed twice', { keys: '](U\x01aU\x01ae.' }, 'storage "a": the state dictionary mentions each listed storage once'],
  ['a storage that is not listed', { keys: '](U\x01ae.', storages: [storage(3)] }, 'storage "b" of 0 bytes'],
  ['a storage of another length', { storages: [storage(3, 4n), storage(2)] }, 'storage "a" of 4 elements: the state dictionary says 3'],
  ['a storage of a length below 0', { storages: [storage(3, -3n), storage(2)] }, 'storage "a" of -3 elements'],
  ['a storage that is cut off', { storages: [storage(3), storage(2).subarray(0, 15)] }, 'storage "b" ends at byte'],
  ['a length that is cut off', { storages: [storage(3), storage(2).subarray(0, 7)] }, 'storage "b" ends at byte'],
  ['bytes behind the last storage', { storages: [storage(3), storage(2), Buffer.alloc(1)] }, '1 bytes after the last storage'],
])('%s is refused', (_, parts, message) => {
  expect(() => readTorchStream(stream(parts))).toThrow(expect.objectContaining({ code: expect.stringMatching(/^WEIGHTS_/) }));
  expect(() => readTorchStream(stream(parts))).toThrow(message);
});
