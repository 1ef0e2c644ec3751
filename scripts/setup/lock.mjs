import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 250;
/** A lock of another machine (a shared home directory, a container) cannot be asked whether its owner lives: it is believed for this long. */
const FOREIGN_LOCK_TRUST_MS = 60 * 60 * 1000;

/**
 * Who holds something: enough to tell a live owner from a process id that was given away again.
 * @typedef {{ host: string, pid: number, startedAt: string }} Owner
 */

/** Start time of a process in clock ticks since boot; '' where there is none, or only a zombie. @param {number} pid */
function processStart(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

/** @param {number} pid @returns {Owner} */
export function identify(pid) {
  return { host: hostname(), pid, startedAt: processStart(pid) };
}

export const thisProcess = () => identify(process.pid);

/** @param {Owner} owner @param {number} ageMs how long ago the owner left its mark */
export function isAlive(owner, ageMs) {
  if (owner.host !== hostname()) return ageMs < FOREIGN_LOCK_TRUST_MS;
  return processStart(owner.pid) === owner.startedAt && owner.startedAt !== '';
}

/** @param {string} path @returns {{ text: string, owner: Owner, ageMs: number } | undefined} */
function readLock(path) {
  try {
    const text = readFileSync(path, 'utf8');
    return { text, owner: parseOwner(text), ageMs: Date.now() - statSync(path).mtimeMs };
  } catch {
    return undefined;
  }
}

/** Content that is no owner counts as one that died. @param {string} text @returns {Owner} */
export function parseOwner(text) {
  try {
    const { host, pid, startedAt } = JSON.parse(text);
    return { host: String(host), pid: Number(pid), startedAt: String(startedAt) };
  } catch {
    return { host: hostname(), pid: 0, startedAt: '' };
  }
}

/** Creates the lock with its content in one step (a hard link), so that nobody reads a lock without an owner. @param {string} path */
function tryAcquire(path) {
  const draft = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(draft, JSON.stringify(thisProcess()));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes a dead owner's lock; where a newcomer took it in between, the newcomer's lock is put back. @param {string} path @param {string} staleText */
function removeStale(path, staleText) {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== staleText) linkSync(aside, path);
  } catch {
    // Somebody else was faster; the next round looks again.
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Runs `work` while this process alone holds the lock. A lock whose owner died, even by `kill -9`, is taken over.
 * The lock spares double work; that results are whole never depends on it (they are renamed into place).
 *
 * @template T
 * @param {string} path
 * @param {{ onWait?: (owner: Owner) => void }} options
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, options, work) {
  mkdirSync(dirname(path), { recursive: true });
  while (!tryAcquire(path)) {
    const held = readLock(path);
    if (held === undefined) {
      await delay(1);
      continue;
    }
    if (!isAlive(held.owner, held.ageMs)) {
      removeStale(path, held.text);
      continue;
    }
    options.onWait?.(held.owner);
    await delay(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
