import { inflateRawSync } from 'node:zlib';
import { WeightsFileError } from '../errors.js';
import { checkLimit } from '../limits.js';

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED_FLAG = 1;

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly begin: number;
}

/**
 * A zip archive held in memory, as strict as a format for tensors may be: entries stored or deflated, unique names, no overlaps, no
 * encryption, no zip64 (PyTorch writes it only above 4 GiB). Our own reader, because libraries trust the declared sizes or read
 * overlapping entries, which is what zip bombs are made of.
 */
export class ZipArchive {
  private readonly entries: ReadonlyMap<string, ZipEntry>;

  /** @throws WeightsFileError when the directory is damaged, or above a limit */
  constructor(private readonly file: Buffer) {
    const entries = readDirectory(file);
    checkOverlaps(entries);
    checkLimit(
      'zipBytes',
      entries.reduce((sum, { bytes }) => sum + bytes, 0),
      'inflated bytes of the archive',
    );
    this.entries = new Map(entries.map((entry) => [entry.name, entry]));
    if (this.entries.size !== entries.length) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', { value: 'two entries of the archive with one name', rule: 'names are unique' });
    }
  }

  get names(): string[] {
    return [...this.entries.keys()];
  }

  /**
   * An entry's bytes, checked against its size and CRC-32.
   *
   * @param maxBytes a larger entry is not inflated
   * @throws WeightsFileError when it is missing, damaged or too large
   */
  read(name: string, maxBytes: number): Uint8Array {
    const entry = this.entries.get(name);
    if (!entry)
      throw new WeightsFileError('WEIGHTS_MALFORMED', { value: `no entry "${name}" in the archive`, rule: 'the pickle refers to it' });
    if (entry.bytes > maxBytes) {
      throw new WeightsFileError('WEIGHTS_LIMIT', {
        value: `entry "${name}" of ${entry.bytes} bytes`,
        rule: `at most ${maxBytes} belong there`,
      });
    }
    const packed = this.file.subarray(entry.begin, entry.begin + entry.packedBytes);
    const bytes = entry.method === STORED ? packed : inflate(packed, entry);
    if (bytes.length !== entry.bytes || crc32(bytes) !== entry.crc) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', {
        value: `entry "${name}" (${bytes.length} bytes)`,
        rule: `it has to be ${entry.bytes} bytes with the CRC-32 of the directory`,
      });
    }
    return bytes;
  }
}

/** `maxOutputLength` stops a bomb at the size that it declared, which was counted before. */
function inflate(packed: Uint8Array, { name, bytes }: ZipEntry): Uint8Array {
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, bytes) });
  } catch (cause) {
    throw new WeightsFileError(
      'WEIGHTS_MALFORMED',
      { value: `entry "${name}"`, rule: `it inflates to the declared ${bytes} bytes` },
      { cause },
    );
  }
}

function readDirectory(file: Buffer): ZipEntry[] {
  const end = findEnd(file);
  const count = file.readUInt16LE(end + 10);
  checkLimit('zipEntries', count, 'entries of the archive');
  const directory = { begin: file.readUInt32LE(end + 16), end: file.readUInt32LE(end + 16) + file.readUInt32LE(end + 12) };
  if (directory.end > end) throw damaged(`a directory up to byte ${directory.end}`, `it ends before byte ${end}`);
  const entries: ZipEntry[] = [];
  let at = directory.begin;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > directory.end || file.readUInt32LE(at) !== CENTRAL_HEADER) {
      throw damaged(`entry ${i} of the directory`, `${count} entries lie within its ${directory.end - directory.begin} bytes`);
    }
    entries.push(readEntry(file, at, directory.begin));
    at += CENTRAL_BYTES + file.readUInt16LE(at + 28) + file.readUInt16LE(at + 30) + file.readUInt16LE(at + 32);
  }
  return entries;
}

function findEnd(file: Buffer): number {
  const first = Math.max(0, file.length - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = file.length - END_BYTES; at >= first; at--) {
    if (file.readUInt32LE(at) === END_OF_DIRECTORY && at + END_BYTES + file.readUInt16LE(at + 20) === file.length) return at;
  }
  throw new WeightsFileError('WEIGHTS_TRUNCATED', { value: 'a zip archive without its directory', rule: 'the directory is its end' });
}

function readEntry(file: Buffer, at: number, directoryBegin: number): ZipEntry {
  const name = file.toString('utf8', at + CENTRAL_BYTES, at + CENTRAL_BYTES + file.readUInt16LE(at + 28));
  const method = file.readUInt16LE(at + 10);
  const local = file.readUInt32LE(at + 42);
  const [packedBytes, bytes] = [file.readUInt32LE(at + 20), file.readUInt32LE(at + 24)];
  if (file.readUInt16LE(at + 8) & ENCRYPTED_FLAG || (method !== STORED && method !== DEFLATED)) {
    throw new WeightsFileError('WEIGHTS_UNSUPPORTED', {
      value: `entry "${name}" with method ${method}`,
      rule: 'entries are stored or deflated',
    });
  }
  if (local + LOCAL_BYTES > directoryBegin || file.readUInt32LE(local) !== LOCAL_HEADER) {
    throw damaged(`entry "${name}" at byte ${local}`, `it begins with a local header before byte ${directoryBegin}`);
  }
  const begin = local + LOCAL_BYTES + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
  if (begin + packedBytes > directoryBegin)
    throw damaged(`entry "${name}" up to byte ${begin + packedBytes}`, `it ends before ${directoryBegin}`);
  return { name, method, crc: file.readUInt32LE(at + 16), packedBytes, bytes, begin };
}

function checkOverlaps(entries: readonly ZipEntry[]): void {
  let end = 0;
  for (const { name, begin, packedBytes } of [...entries].sort((a, b) => a.begin - b.begin)) {
    if (begin < end) throw damaged(`entry "${name}" at byte ${begin}`, `the entry before it ends at ${end}`);
    end = begin + packedBytes;
  }
}

function damaged(value: string, rule: string): WeightsFileError {
  return new WeightsFileError('WEIGHTS_MALFORMED', { value, rule });
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** Not `zlib.crc32`: Node has it only from 20.15 on. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
