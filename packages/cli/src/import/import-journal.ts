import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ImportFile, UploadJournal } from '@roentgen/client';

/**
 * Remembers in a file of the user's cache which files of an import reached the object store, so that an interrupted import goes on where it ended.
 * The file is named by the address and everything that is imported: another import never reads it.
 */
export class ImportJournal implements UploadJournal {
  readonly key: string;
  readonly #path: string;
  readonly #sent: Set<string>;

  constructor(cacheDirectory: string, scope: { readonly url: string; readonly name: string }, files: readonly ImportFile[]) {
    const hash = createHash('sha256').update(JSON.stringify([scope.url, scope.name]));
    for (const { fileName, sha256, label, patient } of files) hash.update(JSON.stringify([fileName, sha256, label, patient]));
    this.key = hash.digest('hex').slice(0, 40);
    this.#path = join(cacheDirectory, 'imports', `${this.key}.sent`);
    this.#sent = new Set(existsSync(this.#path) ? readFileSync(this.#path, 'utf8').split('\n') : []);
  }

  wasSent(uploadId: string, ordinal: number): boolean {
    return this.#sent.has(`${uploadId} ${ordinal}`);
  }

  markSent(uploadId: string, ordinal: number): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    appendFileSync(this.#path, `${uploadId} ${ordinal}\n`, { mode: 0o600 });
  }

  /** The import is done. */
  remove(): void {
    rmSync(this.#path, { force: true });
  }
}
