import type { Compression } from './compression.js';

/** A file of the bundle as it is carried. */
export interface PartFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A stretch of the archive that is compressed by itself. */
export interface Frame {
  readonly bytes: number;
  readonly compressedBytes: number;
}

/** Whole frames, as many as fit: each part can be unpacked without the others. */
export interface ArchivePart extends PartFile {
  readonly frames: readonly Frame[];
}

/** A program or library that is there before the archive is unpacked: gzip, cut into parts. */
export interface RuntimeFile {
  /** Below `runtime/`. */
  readonly path: string;
  readonly parts: readonly PartFile[];
}

/** `manifest.json`, read by unpack.mjs. */
export interface BundleManifest {
  readonly format: typeof BUNDLE_FORMAT;
  readonly formatVersion: typeof BUNDLE_FORMAT_VERSION;
  /** For people: versions and device. */
  readonly description: Readonly<Record<string, string>>;
  /** The tar archive before it is compressed. */
  readonly archive: { readonly bytes: number; readonly sha256: string };
  readonly compression: Compression;
  readonly runtime: readonly RuntimeFile[];
  readonly parts: readonly ArchivePart[];
  /** The addon that must load on the machine; null where there is none. */
  readonly binding: string | null;
}

export const BUNDLE_FORMAT = 'roentgen-worker-bundle';
export const BUNDLE_FORMAT_VERSION = 1;
