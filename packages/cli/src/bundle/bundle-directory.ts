import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../failure.js';
import { writeWhole } from '../whole-file.js';
import { BUNDLE_FORMAT, type PartFile } from './manifest.js';

export const MANIFEST = 'manifest.json';
const OWN_NAMES = /^((runtime|worker)-\d{3,}\.part|manifest\.json|unpack\.sh|unpack\.mjs|SHA256SUMS)(\.tmp)?$/;
/** Without these a folder of parts is no bundle that can be unpacked. */
const LAST_FILES = ['unpack.sh', 'SHA256SUMS', MANIFEST];

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The folder that a bundle is written into: complete files only, and nothing of anybody else's. */
export class BundleDirectory {
  private keptFiles = 0;

  private constructor(readonly path: string) {}

  /** @throws UsageError where the folder holds something that no bundle put there */
  static open(path: string): BundleDirectory {
    mkdirSync(path, { recursive: true });
    const foreign = readdirSync(path).find((name) => !OWN_NAMES.test(name) || (name === MANIFEST && !isOurManifest(join(path, name))));
    if (foreign !== undefined)
      throw new UsageError(
        `--out ${path} is not empty and no bundle: ${foreign} is in it. Name an empty folder, a new one, or a bundle's.`,
      );
    return new BundleDirectory(path);
  }

  /** Parts that were there already. */
  get keptParts(): number {
    return this.keptFiles;
  }

  /** From now on the bundle is in the making: it cannot be unpacked until it is complete again. */
  begin(): void {
    for (const name of LAST_FILES) rmSync(join(this.path, name), { force: true });
  }

  /** A part; one that is there with the same bytes is kept. */
  async writePart(kind: 'runtime' | 'worker', number: number, bytes: Buffer): Promise<PartFile> {
    const name = `${kind}-${String(number).padStart(3, '0')}.part`;
    const part = { name, bytes: bytes.length, sha256: sha256Of(bytes) };
    const there = await readFile(join(this.path, name)).catch(() => null);
    if (there?.equals(bytes) !== true) return this.write(name, bytes);
    this.keptFiles++;
    return part;
  }

  /** Writes a file completely or not at all. */
  async write(name: string, bytes: Buffer, mode = 0o644): Promise<PartFile> {
    await writeWhole(join(this.path, name), bytes, mode);
    return { name, bytes: bytes.length, sha256: sha256Of(bytes) };
  }

  /** The bundle is complete: parts of an earlier one go. */
  finish(files: readonly PartFile[]): void {
    const kept = new Set(files.map((file) => file.name));
    for (const name of readdirSync(this.path)) if (!kept.has(name)) rmSync(join(this.path, name));
  }
}

/** Other programs have a manifest.json too. */
const isOurManifest = (path: string): boolean => readFileSync(path, 'utf8').includes(`"format": "${BUNDLE_FORMAT}"`);
