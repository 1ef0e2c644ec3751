import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SelftestOutcomeSchema, type SelftestOutcome } from './outcome.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Code that decides what the self-test finds. */
const PROGRAM = ['@roentgen/domain', '@roentgen/efficientnet', '@roentgen/tensorflow', '@roentgen/training'];

/** Where a machine's self-tests are kept: in the cache that set-up uses. */
export const selftestFolder = (environment: Environment): string =>
  join(environment.ROENTGEN_CACHE_DIR || join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'roentgen'), 'selftest');

/** SHA-256 over the names and contents of the program's files: the version of a package stays the same while its code is changed. */
export function programDigest(): string {
  const hash = createHash('sha256');
  const folders = [dirname(fileURLToPath(import.meta.url)), ...PROGRAM.flatMap(folderOf)];
  for (const folder of folders) {
    const names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\.test\.\w+$/.test(entry.name))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    for (const name of names.sort()) hash.update(name.slice(folder.length)).update(readFileSync(name));
  }
  return hash.digest('hex');
}

/** A program that was packed into fewer files has its packages in the folder of this one. */
function folderOf(name: string): string[] {
  try {
    return [dirname(fileURLToPath(import.meta.resolve(name)))];
  } catch {
    return [];
  }
}

/** Everything that the outcome depends on, as one name: machine, device, versions, settings. */
export const cacheKey = (facts: Readonly<Record<string, unknown>>): string =>
  createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32);

/** The outcome that was kept, null where there is none that can be read. */
export function readCached(folder: string, key: string): SelftestOutcome | null {
  try {
    const parsed = SelftestOutcomeSchema.safeParse(JSON.parse(readFileSync(join(folder, `${key}.json`), 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Whole or not at all, also with several workers at once. @throws Error when the folder cannot be written */
export function writeCached(folder: string, key: string, outcome: SelftestOutcome): void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${key}.json`);
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(outcome));
  renameSync(`${path}.${process.pid}`, path);
}
