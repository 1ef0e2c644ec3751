import { expect, test } from 'vitest';
import { fixture } from '../testing/tiny-network.js';
import { readTorchZip } from './torch-file.js';

const CENTRAL_HEADER = Buffer.from('PK\x01\x02', 'latin1');

/** The fixture with the n-th entry of its directory changed. */
function withEntry(n: number, change: (entry: Buffer, others: readonly Buffer[]) => void): Buffer {
  const file = Buffer.from(fixture('torchvision-float.pth'));
  const entries: Buffer[] = [];
  for (let at = file.indexOf(CENTRAL_HEADER); at >= 0; at = file.indexOf(CENTRAL_HEADER, at + 4)) entries.push(file.subarray(at));
  change(entries[n]!, entries);
  return file;
}

test.each<[string, Buffer, string]>([
  [
    'entries over one another',
    withEntry(3, (entry, all) => entry.writeUInt32LE(all[2]!.readUInt32LE(42), 42)),
    'the entry before it ends at',
  ],
  [
    'an entry at an absurd offset',
    withEntry(3, (entry) => entry.writeUInt32LE(0xfffffff0, 42)),
    'at byte 4294967280: it begins with a local header',
  ],
  ['an entry longer than the file', withEntry(3, (entry) => entry.writeUInt32LE(0x7fffffff, 20)), 'it ends before'],
  ['gigabytes declared', withEntry(3, (entry) => entry.writeUInt32LE(0xfffffff0, 24)), 'inflated bytes of the archive'],
  ['a smaller size than declared', withEntry(3, (entry) => entry.writeUInt32LE(9, 24)), 'it has to be 9 bytes'],
  ['more bytes than the tensor has', withEntry(3, (entry) => entry.writeUInt32LE(2 ** 30, 24)), 'of 1073741824 bytes: at most'],
  ['an endless pickle', withEntry(0, (entry) => entry.writeUInt32LE(2 ** 30, 24)), 'at most 16777216 belong there'],
  ['another checksum', withEntry(3, (entry) => entry.writeUInt32LE(1, 16)), 'the CRC-32 of the directory'],
  ['an encrypted entry', withEntry(3, (entry) => entry.writeUInt16LE(1, 8)), 'entries are stored or deflated'],
  ['an unknown method', withEntry(3, (entry) => entry.writeUInt16LE(99, 10)), 'with method 99'],
  ['more entries than there are', withEntry(0, (entry) => entry.subarray(-22).writeUInt16LE(500, 10)), 'of the directory: 500 entries'],
  ['too many entries', withEntry(0, (entry) => entry.subarray(-22).writeUInt16LE(60_000, 10)), 'entries of the archive: 60000'],
  ['no pickle', withEntry(0, (entry) => entry.write('archive/data.txt', 46)), 'an archive without one data.pkl'],
  ['a missing storage', withEntry(2, (entry) => entry.write('archive/data/x', 46)), 'no entry "archive/data/0" in the archive'],
])('%s is refused', (_, file, message) => {
  expect(() => readTorchZip(file)).toThrow(message);
});
