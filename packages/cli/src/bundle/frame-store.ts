import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { writeWhole } from '../whole-file.js';
import { sha256Of } from './bundle-directory.js';
import { compressFrame, type Compression } from './compression.js';

/** A frame that no bundle used for so long is of a version that nobody packs any more. */
const KEEP_DAYS = 30;
const DAY_MS = 86_400_000;

const decompress = promisify(brotliDecompress);

/**
 * Compressed frames by the SHA-256 of what is in them. The highest level of compression takes most of an hour for libtensorflow: a build that
 * was interrupted goes on where it was, and a new version of the code compresses only what has changed.
 */
export class FrameStore {
  private reusedFrames = 0;

  private constructor(private readonly folder: string | null) {}

  static in(folder: string): FrameStore {
    mkdirSync(folder, { recursive: true });
    return new FrameStore(folder);
  }

  /** Keeps nothing. */
  static none(): FrameStore {
    return new FrameStore(null);
  }

  /** Frames that need not be compressed. */
  get reused(): number {
    return this.reusedFrames;
  }

  async compressed(bytes: Buffer, compression: Compression): Promise<Buffer> {
    if (this.folder === null) return compressFrame(bytes, compression);
    const sha256 = sha256Of(bytes);
    const path = join(this.folder, `${sha256}-${compression}-${process.versions.brotli ?? ''}.br`);
    const stored = await readStored(path, bytes.length, sha256);
    if (stored !== null) {
      this.reusedFrames++;
      return stored;
    }
    const compressed = await compressFrame(bytes, compression);
    await writeWhole(path, compressed);
    return compressed;
  }

  /** Removes what was not used for a month. */
  prune(nowMs = Date.now()): void {
    if (this.folder === null) return;
    for (const name of readdirSync(this.folder)) {
      const path = join(this.folder, name);
      const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: nowMs };
      if (nowMs - mtimeMs > KEEP_DAYS * DAY_MS) rmSync(path, { force: true });
    }
  }
}

/** What is stored is unpacked and compared before it is believed; null where it is absent or damaged. */
async function readStored(path: string, bytes: number, sha256: string): Promise<Buffer | null> {
  try {
    const stored = await readFile(path);
    const unpacked = await decompress(stored, { maxOutputLength: bytes });
    if (sha256Of(unpacked) !== sha256) return null;
    const now = new Date();
    await utimes(path, now, now);
    return stored;
  } catch {
    return null;
  }
}
