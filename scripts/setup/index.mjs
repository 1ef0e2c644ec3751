import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync, chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, ensurePackage } from './cache.mjs';
import { SetupFailure } from './failure.mjs';
import { choosePins, ensureLibtensorflow, libtensorflowFolder, lockedBindingVersion } from './libtensorflow.mjs';
import { ensureNodePackages, linkPostgresLibraries, nodePackagesAreFresh } from './node-packages.mjs';
import { builtMinio } from './minio.mjs';
import { createProgress } from './progress.mjs';
import { glibcVersion, nvidiaDriverAnswers, requireNode, requirePlatform, requireTools } from './requirements.mjs';
import { installWheel } from './wheel.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const PINS = JSON.parse(readFileSync(new URL('./pins.json', import.meta.url), 'utf8'));
/** Read by packages/tensorflow and packages/local-stack. Inside node_modules, so that it goes when the packages go. */
const RECORD = join(ROOT, 'node_modules', '.roentgen', 'installation.json');

/**
 * Where set-up put things.
 * @typedef {{ cacheDirectory: string, libtensorflow?: import('./libtensorflow.mjs').Libtensorflow, natsServer?: string, weed?: string, minio?: string }} Installation
 */

/** A server that is one program in a wheel. @param {string} cache @param {import('./wheel.mjs').WheelPin} pin @param {string} program */
function serverFolder(cache, pin, program) {
  return join(cache, `${program}-${pin.version}-${pin.sha256.slice(0, 12)}`);
}

/** @param {string} cache @param {import('./wheel.mjs').WheelPin} pin @param {string} program @param {import('./progress.mjs').Progress} progress */
async function ensureServer(cache, pin, program, progress) {
  const folder = serverFolder(cache, pin, program);
  const path = join(folder, program);
  if (existsSync(path)) return path;
  const member = `${pin.package.replaceAll('-', '_')}-${pin.version}.data/scripts/${program}`;
  await progress.task(`${program} ${pin.version}, ${Math.round(pin.sizeBytes / 1e6)} MB`, (report) =>
    ensurePackage(
      cache,
      folder.slice(cache.length + 1),
      async (target, scratch) => {
        await installWheel(pin, { [member]: program }, target, scratch, report);
        chmodSync(join(target, program), 0o755);
      },
      { onWait: (owner) => report(undefined, `process ${owner.pid} is at it`) },
    ),
  );
  return path;
}

/** @returns {Installation | undefined} */
function readRecord() {
  try {
    return JSON.parse(readFileSync(RECORD, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Replaced in one step, and only when it says something new. @param {Installation} installation */
function writeRecord(installation) {
  const text = `${JSON.stringify(installation, null, 2)}\n`;
  if (existsSync(RECORD) && readFileSync(RECORD, 'utf8') === text) return;
  mkdirSync(dirname(RECORD), { recursive: true });
  const draft = `${RECORD}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, RECORD);
}

/** @param {string | undefined} wanted auto, cpu or cuda @returns {'cpu' | 'cuda'} */
export function chooseDevice(wanted = 'auto', driverAnswers = nvidiaDriverAnswers) {
  if (wanted === 'cpu' || wanted === 'cuda') return wanted;
  if (wanted !== 'auto') throw new SetupFailure(`--device is ${JSON.stringify(wanted)}; it can be auto, cpu or cuda.`);
  return driverAnswers() ? 'cuda' : 'cpu';
}

/**
 * Brings everything that the repository needs onto this machine; does nothing, fast, where all is there.
 *
 * @param {{ device?: string, only?: 'libtensorflow' | 'stack', cudaLibraries?: boolean, record?: boolean, env?: NodeJS.ProcessEnv, progress?: import('./progress.mjs').Progress }} [options]
 *   `only` leaves out the npm packages and the other part (container images); without `record` the repository goes on with what it has
 * @returns {Promise<Installation>}
 */
export async function setUp({
  device: wanted,
  only,
  cudaLibraries = true,
  record = true,
  env = process.env,
  progress = createProgress(),
} = {}) {
  requireNode(process.versions.node);
  const cache = cacheDirectory(env);
  const device = chooseDevice(wanted);
  const pins = choosePins(PINS.libtensorflow, device, {
    cudaLibraries,
    isThere: (folder) => existsSync(join(cache, folder)),
    version: lockedBindingVersion(ROOT),
  });
  const parts = { packages: only === undefined, libtensorflow: only !== 'stack', servers: only !== 'libtensorflow' };
  const wantedFolders = [
    ...(parts.libtensorflow ? [join(cache, libtensorflowFolder(device, pins, lockedBindingVersion(ROOT)))] : []),
    ...(parts.servers ? [serverFolder(cache, PINS.natsServer, 'nats-server'), serverFolder(cache, PINS.weed, 'weed')] : []),
  ];
  if (!wantedFolders.every((folder) => existsSync(folder))) {
    requirePlatform({ platform: process.platform, arch: process.arch, glibc: glibcVersion() });
    requireTools();
    process.stderr.write(`Setting up; complete packages are kept in ${cache}\n`);
  } else if (parts.packages && !nodePackagesAreFresh(ROOT)) {
    process.stderr.write('Setting up\n');
  }
  mkdirSync(cache, { recursive: true });
  const packagesReady = parts.packages ? ensureNodePackages(ROOT, progress) : Promise.resolve();
  const results = await Promise.allSettled([
    parts.libtensorflow ? ensureLibtensorflow({ root: ROOT, cache, device, pins, packagesReady, progress }) : undefined,
    parts.servers ? ensureServer(cache, PINS.natsServer, 'nats-server', progress) : undefined,
    parts.servers ? ensureServer(cache, PINS.weed, 'weed', progress) : undefined,
    packagesReady,
  ]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const [libtensorflow, natsServer, weed] = results.map((result) => result.value);
  linkPostgresLibraries(ROOT);
  const known = only === undefined ? {} : readRecord();
  const found = { cacheDirectory: cache, libtensorflow, natsServer, weed, minio: builtMinio(cache) };
  const installation = { ...known, ...Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) };
  if (record) writeRecord(installation);
  return installation;
}
