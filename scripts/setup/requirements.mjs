import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { SetupFailure } from './failure.mjs';

const MIN_NODE = [20, 11];
const MIN_GLIBC = [2, 27];
const MIN_PIP = [20, 3];

/** @param {string} text @returns {number[]} */
const numbers = (text) => text.split('.').map(Number);

/** Whether version `text` is at least `minimum` in its first two parts. @param {string} text @param {number[]} minimum */
export function isAtLeast(text, [major, minor]) {
  const [foundMajor = 0, foundMinor = 0] = numbers(text);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

/** @param {string} version such as 20.11.0 */
export function requireNode(version) {
  if (!isAtLeast(version, MIN_NODE)) {
    throw new SetupFailure(
      `Node ${version} runs this, but ${MIN_NODE.join('.')} or newer is needed.`,
      'install Node 20 or 22 from https://nodejs.org',
    );
  }
}

/**
 * The published libtensorflow is for Linux on x86-64 with glibc.
 * @param {{ platform: string, arch: string, glibc: string | undefined }} machine
 */
export function requirePlatform({ platform, arch, glibc }) {
  const where =
    'run it on Linux x86-64 with glibc 2.27 or newer (Debian 10, Ubuntu 18.04, RHEL 8), for example in a virtual machine or WSL 2';
  if (platform !== 'linux' || arch !== 'x64') {
    throw new SetupFailure(
      `This machine is ${platform} ${arch}; the published libtensorflow and the local Postgres are for linux x64.`,
      where,
    );
  }
  if (glibc === undefined) throw new SetupFailure('This Linux has no glibc (musl?), which the published libtensorflow needs.', where);
  if (!isAtLeast(glibc, MIN_GLIBC))
    throw new SetupFailure(`glibc ${glibc} is here; libtensorflow needs ${MIN_GLIBC.join('.')} or newer.`, where);
}

/** @param {string} command @param {string[]} args @returns {string | undefined} its stdout */
function answer(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}

/** @returns {string | undefined} such as 2.36 */
export function glibcVersion() {
  return answer('getconf', ['GNU_LIBC_VERSION'])?.match(/glibc (\S+)/)?.[1];
}

/** The tools that set-up runs, each with the way to get it; all that are missing are named at once. */
export function requireTools(ask = answer) {
  const missing = [];
  if (ask('python3', ['--version']) === undefined) {
    missing.push(
      'python3 is missing (it downloads and unpacks libtensorflow).\n  → Debian, Ubuntu: apt-get install python3 python3-pip; Fedora, RHEL: dnf install python3 python3-pip',
    );
  } else {
    const pip = ask('python3', ['-m', 'pip', '--version'])?.match(/^pip (\S+)/)?.[1];
    const fix = 'Debian, Ubuntu: apt-get install python3-pip; Fedora, RHEL: dnf install python3-pip; else: python3 -m ensurepip --upgrade';
    if (pip === undefined) missing.push(`pip for python3 is missing.\n  → ${fix}`);
    else if (!isAtLeast(pip, MIN_PIP))
      missing.push(`pip ${pip} is too old; ${MIN_PIP.join('.')} or newer is needed.\n  → python3 -m pip install --user --upgrade pip`);
  }
  if (ask('g++', ['--version']) === undefined) {
    missing.push(
      'g++ is missing (it compiles the TensorFlow addon).\n  → Debian, Ubuntu: apt-get install g++; Fedora, RHEL: dnf install gcc-c++',
    );
  }
  if (missing.length > 0) throw new SetupFailure(missing.join('\n'));
}

/** Whether an NVIDIA driver answers. The proc file costs nothing; WSL 2 has only nvidia-smi. */
export function nvidiaDriverAnswers() {
  return existsSync('/proc/driver/nvidia/version') || (answer('nvidia-smi', ['-L'])?.includes('GPU ') ?? false);
}
