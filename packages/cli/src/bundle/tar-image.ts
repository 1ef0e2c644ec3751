import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { UsageError } from '../failure.js';

/** Where the bytes of an entry come from. */
export type EntrySource =
  | { readonly bytes: Buffer }
  /** `head` stands in place of the file's first bytes; the file ends at `sizeBytes`, whatever lies behind. */
  | { readonly file: string; readonly sizeBytes: number; readonly head?: Buffer }
  | { readonly link: string };

/** One file or symbolic link. Nothing else of its origin is kept: no owner, no time. */
export interface TarEntry {
  /** Relative, with `/`. */
  readonly path: string;
  readonly executable: boolean;
  readonly source: EntrySource;
}

/** A piece of the archive: bytes that are here, or a region of a file. */
interface Segment {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly bytes?: Buffer;
  readonly file?: string;
  readonly fileOffset?: number;
}

const BLOCK_BYTES = 512;
const HASH_STEP_BYTES = 8 * 2 ** 20;

/**
 * A tar archive (POSIX.1-1988 ustar) that is laid out but not written: any range of it can be read. Entries stand in the order given, and
 * carry owner 0, time 0 and mode 644 or 755, so that equal contents give equal bytes wherever and whenever they are packed.
 */
export class TarImage {
  readonly sizeBytes: number;
  private readonly segments: readonly Segment[];

  constructor(entries: readonly TarEntry[]) {
    const segments: Segment[] = [];
    let offset = 0;
    const add = (piece: Omit<Segment, 'offset'>) => {
      if (piece.sizeBytes > 0) segments.push({ ...piece, offset });
      offset += piece.sizeBytes;
    };
    const addBytes = (bytes: Buffer) => add({ bytes, sizeBytes: bytes.length });
    for (const entry of entries) {
      const { source } = entry;
      addBytes(header(entry));
      if ('bytes' in source) addBytes(source.bytes);
      if ('file' in source) {
        const head = source.head ?? Buffer.alloc(0);
        addBytes(head);
        add({ file: source.file, fileOffset: head.length, sizeBytes: source.sizeBytes - head.length });
      }
      addBytes(Buffer.alloc(-offset & (BLOCK_BYTES - 1)));
    }
    // Two empty blocks are the end.
    addBytes(Buffer.alloc(2 * BLOCK_BYTES));
    this.segments = segments;
    this.sizeBytes = offset;
  }

  /** Bytes `offset` … `offset + length`, fewer at the end. @throws Error when a file became shorter meanwhile */
  async read(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(this.sizeBytes, offset + length);
    const target = Buffer.alloc(Math.max(0, end - offset));
    for (const segment of this.segments) {
      const from = Math.max(offset, segment.offset);
      const to = Math.min(end, segment.offset + segment.sizeBytes);
      if (from >= to) continue;
      const into = target.subarray(from - offset, to - offset);
      if (segment.bytes !== undefined) segment.bytes.copy(into, 0, from - segment.offset, to - segment.offset);
      else await readRegion(segment.file ?? '', (segment.fileOffset ?? 0) + from - segment.offset, into);
    }
    return target;
  }

  /** SHA-256 of the whole archive, as hex. */
  async sha256(signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    for (let offset = 0; offset < this.sizeBytes; offset += HASH_STEP_BYTES) {
      signal.throwIfAborted();
      hash.update(await this.read(offset, HASH_STEP_BYTES));
    }
    return hash.digest('hex');
  }
}

async function readRegion(path: string, position: number, into: Buffer): Promise<void> {
  const file = await open(path);
  try {
    const { bytesRead } = await file.read(into, 0, into.length, position);
    if (bytesRead !== into.length)
      throw new Error(
        `${path} became shorter while it was packed: ${into.length} bytes were expected at ${position}, there are ${bytesRead}.`,
      );
  } finally {
    await file.close();
  }
}

function header({ path, executable, source }: TarEntry): Buffer {
  const { name, prefix } = splitPath(path);
  const size = 'bytes' in source ? source.bytes.length : 'file' in source ? source.sizeBytes : 0;
  const link = 'link' in source ? source.link : '';
  if (Buffer.byteLength(link) > 100)
    throw new UsageError(`The link ${path} -> ${link} is longer than the 100 bytes that a tar header holds.`);
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0);
  block.write(octal(executable ? 0o755 : 0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.fill(0x20, 148, 156);
  block.write('link' in source ? '2' : '0', 156);
  block.write(link, 157);
  block.write('ustar\u000000', 257);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;

/** A header has 100 bytes for the name and 155 for the folders before it. */
function splitPath(path: string): { name: string; prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return { name, prefix };
  }
  throw new UsageError(`The path ${path} is longer than a tar header holds (155 bytes of folders and 100 of the rest).`);
}
