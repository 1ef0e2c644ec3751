import { mkdir, open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UsageError } from './failure.js';

/** A path that cannot be written to; everything else (a full disk, a broken one) is no fault of the command line. */
const BAD_PATH_CODES = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'EPERM', 'EROFS', 'ENAMETOOLONG', 'EEXIST', 'ENOTEMPTY']);

/** A file is there with all its bytes, on the disk, or as it was before. @throws Error of the file system */
export async function writeWhole(path: string, bytes: Uint8Array | string, mode = 0o644): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w', mode);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** What a user asked for as `--out`; its folder is made. A link is followed, and what is no file, as /dev/stdout, is written to as it is. */
export async function writeOutput(path: string, bytes: Uint8Array | string): Promise<void> {
  await reported(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    const found = await stat(path).catch(() => null);
    if (found === null) await writeWhole(path, bytes);
    else if (found.isFile()) await writeWhole(await realpath(path), bytes);
    else await writeFile(path, bytes);
  });
}

/** A folder of files, all of them or none. @param folder absent or empty */
export async function writeOutputFolder(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await reported(folder, async () => {
    const temporary = join(dirname(folder), `.${basename(folder)}.tmp`);
    await rm(temporary, { recursive: true, force: true });
    try {
      for (const [path, bytes] of files) {
        await mkdir(dirname(join(temporary, path)), { recursive: true });
        await writeWhole(join(temporary, path), bytes);
      }
      await rename(temporary, folder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  });
}

async function reported(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const message = `Cannot write ${path}: ${error instanceof Error ? error.message : String(error)}.`;
    if (BAD_PATH_CODES.has(code)) throw new UsageError(message);
    throw Object.assign(new Error(`${message} What was there before is still there.`, { cause: error }), { code });
  }
}
