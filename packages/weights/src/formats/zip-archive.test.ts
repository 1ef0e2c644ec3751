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

/** With all entries of its directory at hand. */
function withEntries(change: (entries: readonly Buffer[]) => void): Buffer {
  return withEntry(0, (_, all) => change(all));
}
const nameOf = (entry: Buffer) => entry.toString('latin1', 46, 46 + entry.readUInt16LE(28));

/** With another text, no longer than `little`, in the entry that says in which order bytes lie. */
function ofByteOrder(text: string): Buffer {
  return withEntries((entries) => {
    const entry = entries.find((candidate) => nameOf(candidate) === 'archive/byteorder')!;
    const file = Buffer.from(entry.buffer, 0);
    const local = entry.readUInt32LE(42);
    file.write(text, local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28));
    entry.writeUInt32LE(crc32(Buffer.from(text)), 16);
    for (const at of [20, 24]) entry.writeUInt32LE(text.length, at);
  });
}
/** CRC-32 of ISO 3309, bit by bit. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
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
  [
    'gigabytes of entries that are each small enough',
    withEntries((entries) => entries.forEach((entry) => entry.writeUInt32LE(2 ** 28, 24))),
    'inflated bytes of the archive: ',
  ],
  ['two entries with one name', withEntry(3, (entry, all) => entry.write(nameOf(all[2]!), 46)), 'two entries of the archive with one name'],
  ['a larger size than there is', withEntry(3, (entry) => entry.writeUInt32LE(entry.readUInt32LE(24) - 4, 20)), 'it has to be'],
  [
    'an entry without a header of its own',
    withEntry(3, (entry) => entry.writeUInt32LE(entry.readUInt32LE(42) + 1, 42)),
    'it begins with a local header',
  ],
  [
    'a directory that goes on behind its end',
    withEntry(0, (entry) => entry.subarray(-22).writeUInt32LE(2 ** 30, 12)),
    'a directory up to byte',
  ],
  ['a directory that begins elsewhere', withEntry(0, (entry) => entry.subarray(-22).writeUInt32LE(4, 16)), 'entry 0 of the directory'],
  ['a second pickle', withEntry(3, (entry) => entry.write('xxxxx/data.pkl', 46)), 'an archive without one data.pkl'],
  ['bytes behind the archive', Buffer.concat([fixture('torchvision-float.pth'), Buffer.alloc(1)]), 'a zip archive without its directory'],
  ['weights of a big-endian machine', ofByteOrder('big'), 'a file of a big-endian machine'],
  ['no pickle', withEntry(0, (entry) => entry.write('archive/data.txt', 46)), 'an archive without one data.pkl'],
  ['a missing storage', withEntry(2, (entry) => entry.write('archive/data/x', 46)), 'no entry "archive/data/0" in the archive'],
])('%s is refused', (_, file, message) => {
  expect(() => readTorchZip(file)).toThrow(message);
});

test('the changed archive is refused for its byte order alone', () => {
  expect(readTorchZip(ofByteOrder('little')).size).toBeGreaterThan(40);
});
