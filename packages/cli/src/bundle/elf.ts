import { closeSync, openSync, readSync } from 'node:fs';

/** What is left of an ELF file when everything that the loader does not read is cut off its end. */
export interface LoadedElf {
  readonly sizeBytes: number;
  /** The first bytes of the shortened file: its header, which no longer promises a section table. */
  readonly head: Buffer;
}

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const HEADER_BYTES = 64;

/**
 * The part of a 64-bit ELF file that its program headers name. Linkers put symbol table and section headers behind it: a quarter of
 * libtensorflow, read by debuggers only. Unlike `strip` it needs no binutils and gives the same bytes everywhere.
 * (System V ABI, "Object Files", Figures 4-3 and 5-1.)
 *
 * @returns null where the file is no 64-bit little-endian ELF file
 */
export function loadedElf(path: string): LoadedElf | null {
  const file = openSync(path, 'r');
  try {
    const head = readExactly(file, 0, HEADER_BYTES);
    if (head === null || !head.subarray(0, 4).equals(ELF_MAGIC) || head[4] !== CLASS_64 || head[5] !== LITTLE_ENDIAN) return null;
    const tableOffset = Number(head.readBigUInt64LE(0x20));
    const entryBytes = head.readUInt16LE(0x36);
    const entries = head.readUInt16LE(0x38);
    const table = readExactly(file, tableOffset, entryBytes * entries);
    if (table === null) return null;
    let sizeBytes = Math.max(HEADER_BYTES, tableOffset + table.length);
    for (let at = 0; at < table.length; at += entryBytes) {
      sizeBytes = Math.max(sizeBytes, Number(table.readBigUInt64LE(at + 0x08)) + Number(table.readBigUInt64LE(at + 0x20)));
    }
    head.writeBigUInt64LE(0n, 0x28);
    head.fill(0, 0x3c, 0x40);
    return { sizeBytes, head };
  } finally {
    closeSync(file);
  }
}

function readExactly(file: number, position: number, length: number): Buffer | null {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, position) === length ? bytes : null;
}
