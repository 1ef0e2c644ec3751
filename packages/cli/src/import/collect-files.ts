import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type ImportFile, mapConcurrently } from '@roentgen/client';
import type { LabelProblem, LabelRow } from './label-file.js';

/** What an image file is called here. Anything else in the folder is left alone without a word. */
const IMAGE_NAME = /\.(jpe?g|png)$/i;

/** What the API takes at most. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/** A file to look up; label and patient where there are labels. */
export type FileRow = Pick<LabelRow, 'line' | 'fileName'> & Partial<Pick<LabelRow, 'label' | 'patient'>>;

export interface CollectedFiles {
  readonly files: readonly ImportFile[];
  /** Rows whose file is not there, empty or too big. */
  readonly problems: readonly LabelProblem[];
}

/**
 * Looks up and hashes the files of the rows, `concurrency` at a time, without holding one whole in memory.
 * @param onProgress called after each file with the number done
 */
export async function collectFiles(
  directory: string,
  rows: readonly FileRow[],
  concurrency: number,
  onProgress: (done: number) => void,
  signal?: AbortSignal,
): Promise<CollectedFiles> {
  const problems: LabelProblem[] = [];
  let done = 0;
  const found = await mapConcurrently(
    rows,
    concurrency,
    async (row) => {
      const path = join(directory, row.fileName);
      const facts = await stat(path).catch(() => null);
      onProgress(++done);
      if (facts === null || !facts.isFile()) {
        problems.push({ line: row.line, message: `"${row.fileName}" has a label but is not in ${directory}` });
        return null;
      }
      if (facts.size === 0 || facts.size > MAX_FILE_BYTES) {
        problems.push({
          line: row.line,
          message: `"${row.fileName}" has ${facts.size} bytes: an image file has 1 byte to ${MAX_FILE_BYTES / 2 ** 20} MiB`,
        });
        return null;
      }
      const { line: _, ...names } = row;
      return { ...names, bytes: facts.size, sha256: await sha256Of(path), read: () => readFile(path) };
    },
    signal,
  );
  problems.sort((a, b) => a.line - b.line);
  return { files: found.filter((file) => file !== null), problems };
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Every image in the folder and below it, as paths relative to it with forward slashes, sorted. */
export async function listImages(directory: string): Promise<string[]> {
  const paths = await readdir(directory, { recursive: true });
  return paths
    .filter((path) => IMAGE_NAME.test(path))
    .map((path) => path.split(sep).join('/'))
    .sort();
}
