import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackage } from './cache.mjs';
import { SetupFailure } from './failure.mjs';
import { run } from './run.mjs';
import { installWheel } from './wheel.mjs';

/** N-API 8 is what the addon's own build asks for; it does not depend on the Node version that compiles it. */
const COMPILE_FLAGS = [
  '-std=c++17',
  '-O2',
  '-fPIC',
  '-shared',
  '-DNAPI_VERSION=8',
  '-DNODE_GYP_MODULE_NAME=tfjs_binding',
  '-DBUILDING_NODE_EXTENSION',
];
/** The libraries lie beside the addon, so the folder can be moved; the CUDA libraries are found by libtensorflow's own run path `$ORIGIN/../nvidia/…`. */
const LINK_FLAGS = ['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', '-Wl,-rpath,$ORIGIN'];

const TENSORFLOW_MEMBERS = {
  'tensorflow/libtensorflow_cc.so.2': 'lib/libtensorflow_cc.so.2',
  'tensorflow/libtensorflow_framework.so.2': 'lib/libtensorflow_framework.so.2',
};
/** What the addon's sources include, directly or not: a twentieth of the headers in the wheel. */
const HEADER_MEMBERS = Object.fromEntries(
  ['tensorflow/c', 'tensorflow/core/platform', 'tensorflow/tsl', 'xla/tsl', 'tsl'].map((folder) => [
    `tensorflow/include/${folder}/`,
    `include/${folder}/`,
  ]),
);
const CUDA_MEMBERS = { 'nvidia/': 'nvidia/' };

/**
 * @typedef {'cpu' | 'cuda'} Device
 * @typedef {{ version: string, device: Device, bindingPath: string, cudaDirectory?: string }} Libtensorflow
 *   `cudaDirectory` holds libdevice and ptxas, for `XLA_FLAGS=--xla_gpu_cuda_data_dir=…`
 */

/** Name of the cache folder: a change of any input gives another folder, never a mixture. @param {Device} device @param {object} pins @param {string} bindingVersion */
export function libtensorflowFolder(device, pins, bindingVersion) {
  const inputs = JSON.stringify([pins[device].map((pin) => pin.sha256), bindingVersion, COMPILE_FLAGS, LINK_FLAGS]);
  return `libtensorflow-${pins.version}-${device === 'cuda' ? 'gpu' : 'cpu'}-${createHash('sha256').update(inputs).digest('hex').slice(0, 12)}`;
}

/**
 * The files to fetch: NVIDIA's libraries follow TensorFlow's own and can be left out, where they are not in the cache already.
 * @template {{ cuda: unknown[] }} Pins
 * @param {Pins} pins @param {Device} device @param {{ cudaLibraries: boolean, isThere: (folder: string) => boolean, version: string }} options
 * @returns {Pins}
 */
export function choosePins(pins, device, { cudaLibraries, isThere, version }) {
  if (device !== 'cuda' || cudaLibraries || isThere(libtensorflowFolder(device, pins, version))) return pins;
  return { ...pins, cuda: pins.cuda.slice(0, 1) };
}

/** Version of the addon's sources as locked. @param {string} root */
export function lockedBindingVersion(root) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return lock.packages['node_modules/@tensorflow/tfjs-node-gpu'].version;
}

/** @param {string} folder @param {Device} device @param {string} version @returns {Libtensorflow} */
export function describeLibtensorflow(folder, device, version) {
  const bindingPath = join(folder, 'lib', 'tfjs_binding.node');
  return device === 'cuda'
    ? { version, device, bindingPath, cudaDirectory: join(folder, 'nvidia', 'cuda_nvcc') }
    : { version, device, bindingPath };
}

/** Compiles the unmodified sources of `@tensorflow/tfjs-node-gpu` against the unpacked library. @param {string} root @param {string} folder @param {string} include */
async function compileBinding(root, folder, include) {
  const source = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu', 'binding');
  const lib = join(folder, 'lib');
  await run(
    'g++',
    [
      ...COMPILE_FLAGS,
      ...['-w', `-I${join(source, '..')}`, `-I${source}`, `-I${join(root, 'node_modules', 'node-api-headers', 'include')}`, `-I${include}`],
      ...[join(source, 'tfjs_backend.cc'), join(source, 'tfjs_binding.cc'), '-o', join(lib, 'tfjs_binding.node'), `-L${lib}`],
      ...LINK_FLAGS,
    ],
    { fix: 'g++ 8 or newer is needed (Debian, Ubuntu: apt-get install g++)' },
  );
}

/** Loads the addon in a process of its own: what does not load here must not count as installed. @param {string} bindingPath @param {string} version */
async function proveBinding(bindingPath, version) {
  const script = 'process.stdout.write(require(process.argv[1]).TF_Version)';
  const found = await run(process.execPath, ['-e', script, bindingPath], {
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '' },
    fix: 'the compiled addon cannot be loaded on this machine; its libstdc++ may be older than the one g++ used',
  });
  if (found !== version) throw new SetupFailure(`The addon reports TensorFlow ${found}, expected ${version}.`);
}

/**
 * libtensorflow out of the published wheel, and the addon compiled against it, in the cache.
 *
 * @param {{ root: string, cache: string, device: Device, pins: object, packagesReady: Promise<unknown>, progress: import('./progress.mjs').Progress }} options
 *   `packagesReady` resolves when node_modules holds the addon's sources; the download does not wait for it
 * @returns {Promise<Libtensorflow>}
 */
export async function ensureLibtensorflow({ root, cache, device, pins, packagesReady, progress }) {
  const name = libtensorflowFolder(device, pins, lockedBindingVersion(root));
  const folder = join(cache, name);
  if (existsSync(folder)) return describeLibtensorflow(folder, device, pins.version);
  const sizeMb = Math.round(pins[device].reduce((sum, pin) => sum + pin.sizeBytes, 0) / 1e6);
  await progress.task(`libtensorflow ${pins.version} for ${device === 'cuda' ? 'NVIDIA GPUs' : 'CPU'}, ${sizeMb} MB`, (report) => {
    const onWait = (owner) => report(undefined, `process ${owner.pid} is at it`);
    const build = async (target, scratch) => {
      const [tensorflow, ...cuda] = pins[device];
      await installWheel(tensorflow, { ...TENSORFLOW_MEMBERS, ...HEADER_MEMBERS }, target, scratch, report);
      for (const pin of cuda) await installWheel(pin, CUDA_MEMBERS, target, scratch, report);
      // Headers are needed once: out of the package, with the scratch folder.
      const include = join(scratch, 'include');
      renameSync(join(target, 'include'), include);
      report(undefined, 'wait for npm packages');
      await packagesReady;
      report(undefined, 'compile the addon');
      await compileBinding(root, target, include);
      report(undefined, 'load the addon');
      await proveBinding(join(target, 'lib', 'tfjs_binding.node'), pins.version);
    };
    return ensurePackage(cache, name, build, { onWait });
  });
  return describeLibtensorflow(folder, device, pins.version);
}
