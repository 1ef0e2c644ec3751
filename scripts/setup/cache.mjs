import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isAlive, thisProcess, withLock } from './lock.mjs';

/** The per-user cache: `ROENTGEN_CACHE_DIR`, else `roentgen` in the user's cache folder. @param {NodeJS.ProcessEnv} env */
export function cacheDirectory(env) {
  return env.ROENTGEN_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'roentgen');
}

/** Removes what an interrupted set-up left. Only called while holding the package's lock. @param {string} parent @param {string} name */
function removeLeftovers(parent, name) {
  for (const entry of readdirSync(parent).filter((entry) => entry.startsWith(`${name}.`))) {
    const folder = join(parent, entry);
    try {
      const owner = JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8'));
      if (isAlive(owner, Date.now() - statSync(folder).mtimeMs)) continue;
    } catch {
      // Killed before it could say whose it is: nobody's.
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Moves a finished folder into place; the one that was there first wins. @param {string} from @param {string} to */
function publish(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/**
 * Makes sure that `<cache>/<name>` exists, complete or not at all: `build` fills a temporary folder, which is renamed into place when it
 * succeeds. Safe with several processes at once and with a kill at any moment; then the next call starts over.
 *
 * @param {string} cache
 * @param {string} name unique to the content: it carries the version and a hash
 * @param {(folder: string, scratch: string) => Promise<void>} build `scratch` is thrown away
 * @param {{ onWait?: (owner: { pid: number }) => void }} [options]
 * @returns {Promise<string>} the folder
 */
export async function ensurePackage(cache, name, build, options = {}) {
  const target = join(cache, name);
  if (existsSync(target)) return target;
  const temporary = join(cache, 'tmp');
  mkdirSync(temporary, { recursive: true });
  return withLock(join(cache, 'locks', `${name}.lock`), options, async () => {
    if (existsSync(target)) return target;
    removeLeftovers(temporary, name);
    const work = join(temporary, `${name}.${process.pid}-${Date.now()}`);
    const folder = join(work, 'package');
    const scratch = join(work, 'scratch');
    for (const path of [folder, scratch]) mkdirSync(path, { recursive: true });
    writeFileSync(join(work, 'owner.json'), JSON.stringify(thisProcess()));
    try {
      await build(folder, scratch);
      publish(folder, target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    return target;
  });
}
