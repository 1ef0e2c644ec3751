import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { MAX_WEIGHTS_FILE_BYTES, type ObjectStore } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { ChunkOutcome, ImportWeightsChunkWork } from '@roentgen/protocol';
import { ObjectNotFoundError, objectKeys } from '@roentgen/storage';
import { WeightsFileError, checkImportOptions, fetchWeights } from '@roentgen/weights';
import { LocalDiskError } from '../errors.js';
import { readWeightsInProcess } from '../weights/import-process.js';
import { sha256Of } from './objects.js';
import { patiently, type PatientOptions } from './patience.js';

export interface WeightsImporterOptions {
  readonly store: Pick<ObjectStore, 'stat' | 'stream' | 'put'>;
  readonly logger: Logger;
  /** Whether addresses of this machine and its network may be fetched from. */
  readonly privateAddresses: boolean;
  /** For the process that reads the file. */
  readonly memoryBytes: number;
  /** Of that process: nothing of this one's secrets. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where pip finds its settings, for files of the catalogue that are Python packages; it gets only what is known to be one of them. */
  readonly fetchEnvironment: Readonly<Record<string, string>>;
  /** Folder for files under way. */
  readonly scratch?: string;
  /** @see PatientOptions.inHurry */
  readonly inHurry?: () => boolean;
}

/** Together well below the lease of a chunk (COORDINATOR_CHUNK_LEASE_MS). */
const FETCH_TIMEOUT_MS = 240_000;
const READ_TIMEOUT_MS = 240_000;

type Failure = Extract<ChunkOutcome, { kind: 'failed' }>;

/**
 * Turns files of weights into our own. The file comes from strangers: it goes to disk, a process of its own with bounded memory and nothing of this
 * worker's secrets reads it, and only what that one wrote is stored. This thread, which sends the heartbeats, never holds still.
 */
export class WeightsImporter {
  private readonly patience: PatientOptions;

  constructor(private readonly options: WeightsImporterOptions) {
    const { logger, inHurry } = options;
    this.patience = { logger, ...(inHurry && { inHurry }) };
  }

  /** @throws UnavailableError when the store is away for too long, LocalDiskError; a file that is bad is an answer, not an error */
  async import(work: ImportWeightsChunkWork): Promise<ChunkOutcome> {
    const { scratch = tmpdir() } = this.options;
    try {
      return await this.importIn(scratch, work);
    } catch (thrown) {
      throw isLocalDiskFailure(thrown) ? localDisk(scratch, thrown) : thrown;
    }
  }

  private async importIn(scratch: string, work: ImportWeightsChunkWork): Promise<ChunkOutcome> {
    const folder = await mkdtemp(join(scratch, 'roentgen-weights-'));
    try {
      const { variant, library, catalogueName } = work;
      checkImportOptions({ variant: variant ?? undefined, library: library ?? undefined, catalogueName: catalogueName ?? undefined });
      const file = join(folder, 'file');
      const missing = await this.obtain(work, file);
      return missing ?? (await this.readAndKeep(work, file, join(folder, 'weights.safetensors')));
    } catch (error) {
      if (error instanceof WeightsFileError) return failed(error.code, error.message);
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  private async readAndKeep(work: ImportWeightsChunkWork, file: string, target: string): Promise<ChunkOutcome> {
    const { memoryBytes, environment, logger } = this.options;
    const { variant, library, catalogueName, sha256 } = work;
    const read = await readWeightsInProcess(
      { file, target, variant, library, catalogueName, sha256 },
      { memoryBytes, environment, timeoutMs: READ_TIMEOUT_MS },
    );
    if (!read.ok) return failed(read.code, read.message);
    const bytes = await readFile(target);
    const { weights } = read;
    if ((await sha256Of(bytes)) !== weights.sha256) {
      return failed(
        'WEIGHTS_DIGEST',
        `what was written for ${work.weightSetId} is not what was read: the disk of this worker is damaged or full.`,
        true,
      );
    }
    await this.keep(objectKeys.weights(work.projectId, weights.sha256), bytes);
    logger.info({ weightSetId: work.weightSetId, variant: weights.variant, library: weights.library }, 'weights imported');
    return { kind: 'weights-imported', weights };
  }

  private async keep(key: string, bytes: Uint8Array): Promise<void> {
    const { store } = this.options;
    await patiently(
      `keeping of ${key}`,
      async () => ((await store.stat(key)) === null ? store.put(key, bytes, 'application/octet-stream') : undefined),
      this.patience,
    );
  }

  /** Brings the file to this disk; why not, where it is the user's to mend. @throws WeightsFileError, UnavailableError */
  private async obtain({ from, catalogueName }: ImportWeightsChunkWork, file: string): Promise<Failure | null> {
    if (from.kind === 'upload') return await this.download(from, file);
    const { privateAddresses, fetchEnvironment } = this.options;
    const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    try {
      const address = from.kind === 'url' ? { url: from.url } : { catalogueName: catalogueName ?? '' };
      await fetchWeights(address, file, { privateAddresses, limitBytes: MAX_WEIGHTS_FILE_BYTES, environment: fetchEnvironment, signal });
      return null;
    } catch (error) {
      if (!signal.aborted) throw error;
      const what = from.kind === 'url' ? from.url : catalogueName;
      return failed(
        'WEIGHTS_FETCH',
        `${what} took longer than ${FETCH_TIMEOUT_MS / 1000} s to fetch. Fetch the file by other means and import it from disk.`,
      );
    }
  }

  private async download(
    { stagingKey, declaredBytes }: Extract<ImportWeightsChunkWork['from'], { kind: 'upload' }>,
    file: string,
  ): Promise<Failure | null> {
    const { store } = this.options;
    const missing = failed('NOT_UPLOADED', 'The file was announced but not sent: make an upload, send the file, and import it again.');
    const stored = await patiently(`look at ${stagingKey}`, () => store.stat(stagingKey), this.patience);
    if (stored === null) return missing;
    // Compared before the download: a file that is larger than announced may be larger than this disk can hold.
    if (stored.bytes !== declaredBytes) {
      return failed('SIZE_MISMATCH', `The file has ${stored.bytes} bytes, announced were ${declaredBytes}: send it again.`);
    }
    try {
      const copy = async () => pipeline(await store.stream(stagingKey), createWriteStream(file));
      await patiently(`download of ${stagingKey}`, copy, this.patience);
      return null;
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return missing;
      throw error;
    }
  }
}

function failed(code: string, message: string, retryable = false): Failure {
  return { kind: 'failed', code, message, retryable };
}

/** Errors of a file system: no room, no right, a defect, too many open files, a folder that is gone. */
const DISK_CODES = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EMFILE', 'ENFILE', 'ENOENT', 'ENOTDIR'];

function isLocalDiskFailure(thrown: unknown): thrown is NodeJS.ErrnoException {
  if (!(thrown instanceof Error && 'code' in thrown && 'syscall' in thrown)) return false;
  // A program that cannot be started is none.
  return DISK_CODES.includes(String(thrown.code)) && !String(thrown.syscall).startsWith('spawn');
}

function localDisk(folder: string, cause: NodeJS.ErrnoException): LocalDiskError {
  return new LocalDiskError(
    `A file under way could not be kept in ${folder} on this worker: ${cause.message}. Files of weights take up to ${MAX_WEIGHTS_FILE_BYTES} bytes, and what is made of them as much again: ` +
      'free space there, or set TMPDIR of the worker to a folder with room that it may write to, and import again.',
    { folder, code: cause.code },
    { cause },
  );
}
