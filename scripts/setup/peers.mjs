import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, ensurePackage } from './cache.mjs';
import { createProgress } from './progress.mjs';
import { run } from './run.mjs';

const FOLDER = fileURLToPath(new URL('../../test/benchmark/peers/', import.meta.url));
const STAND_INS = join(FOLDER, 'cuda_stand_ins.py');

/** What benchmarks and `npm run parity` compare with. Each has its own packages: whoever wants one need not load them all. */
export const PEERS = /** @type {const} */ ({
  keras: { label: 'Keras and tensorflow-cpu', download: '290 MB' },
  pytorch: { label: 'PyTorch and timm', download: '560 MB (1.3 GB unpacked; its published wheel holds the GPU code too)' },
  pillow: { label: 'Pillow', download: '25 MB' },
  onnxruntime: { label: 'onnxruntime and onnx', download: '60 MB' },
});

/** @typedef {keyof typeof PEERS} Peer */

/** @param {Peer} peer */
function requirementsOf(peer) {
  return join(FOLDER, `${peer}-requirements.txt`);
}

/** Name of the cache folder: other versions, another way to install them or another Python give another folder. @param {Peer} peer @param {string} python */
export function peerFolder(peer, python) {
  const hash = createHash('sha256')
    .update(python)
    .update(readFileSync(requirementsOf(peer)));
  if (peer === 'pytorch') hash.update(readFileSync(STAND_INS));
  return `peers-${peer}-${hash.digest('hex').slice(0, 12)}`;
}

/** @param {Peer} peer @param {string} folder @param {string} scratch */
async function installPeer(peer, folder, scratch) {
  const options = ['--no-deps', '--only-binary=:all:', '--no-cache-dir', '--disable-pip-version-check', '--progress-bar', 'off'];
  await run('python3', ['-m', 'pip', 'install', ...options, '--target', folder, '--requirement', requirementsOf(peer)], {
    // pip unpacks in TMPDIR: on the disk that has the room, and thrown away with the rest.
    env: { ...process.env, TMPDIR: scratch },
    fix: 'the pinned packages need Python 3.11 to 3.13 and a package index that has them (pip config list)',
  });
  if (peer === 'pytorch')
    await run('python3', [STAND_INS, folder], { fix: 'readelf, ldd and g++ are needed (Debian, Ubuntu: apt-get install g++)' });
}

/**
 * The Python packages of a peer, installed in the cache on first use.
 *
 * @param {Peer} peer
 * @param {{ env?: NodeJS.ProcessEnv, progress?: import('./progress.mjs').Progress }} [options]
 * @returns {Promise<string>} the folder, for PYTHONPATH
 */
export async function ensurePeer(peer, { env = process.env, progress = createProgress() } = {}) {
  const cache = cacheDirectory(env);
  const python = (await run('python3', ['-c', 'import sys; print(sys.implementation.cache_tag)'], { fix: 'python3 is needed' })).trim();
  const name = peerFolder(peer, python);
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const { label, download } = PEERS[peer];
  process.stderr.write(`To compare with ${label} its packages are needed: a download of about ${download}, once, into ${cache}\n`);
  return progress.task(`${label}, about ${download.replace(/ \(.*/, '')}`, (report) =>
    ensurePackage(cache, name, (target, scratch) => installPeer(peer, target, scratch), {
      onWait: (owner) => report(undefined, `process ${owner.pid} is at it`),
    }),
  );
}
