import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BundleDirectory, MANIFEST } from './bundle-directory.js';
import { compressRuntime, compressionConcurrency, mapInOrder, type Compression } from './compression.js';
import type { FrameStore } from './frame-store.js';
import {
  BUNDLE_FORMAT,
  BUNDLE_FORMAT_VERSION,
  type ArchivePart,
  type BundleManifest,
  type Frame,
  type PartFile,
  type RuntimeFile,
} from './manifest.js';
import { TarImage, type TarEntry } from './tar-image.js';
import { unpackScript } from './unpack-script.js';

export interface BundleOptions {
  readonly entries: readonly TarEntry[];
  /** What has to be there before the archive can be unpacked: path below `runtime/` → file. `node` is one of them. */
  readonly runtime: Readonly<Record<string, string>>;
  readonly binding: string | null;
  readonly description: Readonly<Record<string, string>>;
  readonly out: string;
  /** No part is larger. */
  readonly partBytes: number;
  readonly compression: Compression;
  readonly frames: FrameStore;
  /** Folder with unpack.sh and unpack.mjs. */
  readonly templates: string;
  readonly signal: AbortSignal;
  /** Told how far it is, in bytes of the archive. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

export interface BundleReport {
  /** In the order in which they are listed in SHA256SUMS, which is the last. */
  readonly files: readonly PartFile[];
  readonly archive: BundleManifest['archive'];
  /** Parts that were there already, with the same bytes. */
  readonly keptParts: number;
  /** Of `frames` so many were compressed by an earlier build. */
  readonly reusedFrames: number;
  readonly frames: number;
}

/** Larger frames compress hardly better, and are what is lost when a build is interrupted. */
const MAX_FRAME_BYTES = 32 * 2 ** 20;

/** A frame that does not compress grows by less than a 4,096th and some bytes (BrotliEncoderMaxCompressedSize); it has to fit into a part. */
export const frameBytesFor = (partBytes: number): number => Math.min(MAX_FRAME_BYTES, partBytes - Math.ceil(partBytes / 2048) - 1024);

/**
 * Writes a bundle: a tar archive in compressed parts, the Node that unpacks it, and a shell script. Equal contents and options give equal
 * bytes. While it is being made the folder has no unpack.sh; parts that are there with the right bytes are kept.
 *
 * @throws UsageError where the folder belongs to something else
 */
export async function writeBundle(options: BundleOptions): Promise<BundleReport> {
  const { entries, compression, binding, description, templates, frames, signal } = options;
  const directory = BundleDirectory.open(options.out);
  const image = new TarImage(entries);
  const archive = { bytes: image.sizeBytes, sha256: await image.sha256(signal) };
  directory.begin();
  const runtime = await writeRuntime(directory, options);
  const parts = await writeArchive(directory, image, options);
  const content: BundleManifest = {
    format: BUNDLE_FORMAT,
    formatVersion: BUNDLE_FORMAT_VERSION,
    ...{ description, archive, compression, binding, runtime, parts },
  };
  const manifest = await directory.write(MANIFEST, Buffer.from(`${JSON.stringify(content, null, 1)}\n`));
  const unpacker = await directory.write('unpack.mjs', readFileSync(join(templates, 'unpack.mjs')));
  const script = unpackScript(readFileSync(join(templates, 'unpack.sh'), 'utf8'), { runtime, manifest, unpacker });
  const files = [
    ...runtime.flatMap((file) => file.parts),
    ...parts.map(({ name, bytes, sha256 }): PartFile => ({ name, bytes, sha256 })),
    manifest,
    unpacker,
    await directory.write('unpack.sh', Buffer.from(script), 0o755),
  ];
  const sums = files.map((file) => `${file.sha256}  ${file.name}\n`).join('');
  files.push(await directory.write('SHA256SUMS', Buffer.from(sums)));
  directory.finish(files);
  frames.prune();
  const frameCount = parts.reduce((sum, part) => sum + part.frames.length, 0);
  return { files, archive, keptParts: directory.keptParts, reusedFrames: frames.reused, frames: frameCount };
}

/** Node and its libraries, gzipped: every machine has gzip, and brotli needs Node. */
async function writeRuntime(
  directory: BundleDirectory,
  { runtime, partBytes, compression, signal }: BundleOptions,
): Promise<RuntimeFile[]> {
  const files: RuntimeFile[] = [];
  let count = 0;
  for (const [path, source] of Object.entries(runtime)) {
    signal.throwIfAborted();
    const bytes = await compressRuntime(readFileSync(source), compression);
    const parts: PartFile[] = [];
    for (let at = 0; at < bytes.length; at += partBytes)
      parts.push(await directory.writePart('runtime', ++count, bytes.subarray(at, at + partBytes)));
    files.push({ path, parts });
  }
  return files;
}

/** Compresses the archive frame by frame and closes a part before each frame that does not fit into it any more. */
async function writeArchive(directory: BundleDirectory, image: TarImage, options: BundleOptions): Promise<ArchivePart[]> {
  const { partBytes, compression, frames: store, signal, onProgress } = options;
  const frameBytes = frameBytesFor(partBytes);
  const compressAt = async (offset: number) => {
    signal.throwIfAborted();
    const bytes = await image.read(offset, frameBytes);
    return { bytes: bytes.length, compressed: await store.compressed(bytes, compression) };
  };
  const parts: ArchivePart[] = [];
  let open: { pieces: Buffer[]; frames: Frame[] } = { pieces: [], frames: [] };
  const close = async () => {
    const { pieces, frames } = open;
    open = { pieces: [], frames: [] };
    parts.push({ ...(await directory.writePart('worker', parts.length + 1, Buffer.concat(pieces))), frames });
  };
  let doneBytes = 0;
  onProgress(0, image.sizeBytes);
  for await (const { bytes, compressed } of mapInOrder(offsets(image.sizeBytes, frameBytes), compressionConcurrency(), compressAt)) {
    const openBytes = open.pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (openBytes > 0 && openBytes + compressed.length > partBytes) await close();
    open.pieces.push(compressed);
    open.frames.push({ bytes, compressedBytes: compressed.length });
    doneBytes += bytes;
    onProgress(doneBytes, image.sizeBytes);
  }
  await close();
  return parts;
}

function* offsets(sizeBytes: number, step: number): Generator<number> {
  for (let offset = 0; offset < sizeBytes; offset += step) yield offset;
}
