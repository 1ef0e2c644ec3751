/**
 * Second half of unpack.sh, run by the Node of the bundle: `node unpack.mjs PARTS_FOLDER TARGET_FOLDER MANIFEST_SHA256`. Checks every part, then
 * unpacks into TARGET_FOLDER/.unpacking, proves that the addon loads, and moves everything into place. Imports nothing but Node.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';

const FORMAT = 'roentgen-worker-bundle';
const FORMAT_VERSION = 1;
const BLOCK_BYTES = 512;
const WORK = '.unpacking';

class UnpackFailure extends Error {}

const decompress = promisify(brotliDecompress);

/** @param {string} path */
async function sha256OfFile(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 4 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}

/** @param {string} parts @param {string} expectedSha256 */
function readManifest(parts, expectedSha256) {
  const path = join(parts, 'manifest.json');
  if (!existsSync(path)) throw new UnpackFailure('manifest.json is missing beside unpack.sh: bring all parts into one folder.');
  const text = readFileSync(path);
  const sha256 = createHash('sha256').update(text).digest('hex');
  if (sha256 !== expectedSha256)
    throw new UnpackFailure(
      `manifest.json is damaged or of another bundle: its SHA-256 is ${sha256}, unpack.sh expects ${expectedSha256}.`,
    );
  const manifest = JSON.parse(text.toString('utf8'));
  if (manifest.format !== FORMAT || manifest.formatVersion !== FORMAT_VERSION)
    throw new UnpackFailure(`manifest.json has format ${manifest.format} ${manifest.formatVersion}, expected ${FORMAT} ${FORMAT_VERSION}.`);
  return manifest;
}

/** All of what is wrong, so that one more journey with the missing parts is enough. @param {string} parts @param {any[]} files */
async function requireParts(parts, files) {
  const problems = [];
  for (const { name, bytes, sha256 } of files) {
    const path = join(parts, name);
    if (!existsSync(path)) {
      problems.push(`${name} is missing`);
      continue;
    }
    const found = await sha256OfFile(path);
    if (found !== sha256) problems.push(`${name} is damaged: its SHA-256 is ${found}, it should be ${sha256} (${bytes} bytes)`);
  }
  if (problems.length > 0) throw new UnpackFailure(`${problems.join('\n')}\nBring these parts again; nothing of the worker was written.`);
}

/** @param {string} folder @param {number} neededBytes */
function requireSpace(folder, neededBytes) {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < neededBytes)
    throw new UnpackFailure(`${folder} has ${mib(bavail * bsize)} MiB free, ${mib(neededBytes)} MiB are needed.`);
}

const mib = (bytes) => Math.ceil(bytes / 2 ** 20);

/** Writes the files of a tar archive (POSIX ustar) below a folder, however the archive is cut into pieces. */
class TarWriter {
  #folder;
  /** The beginning of a header that the last piece ended in. */
  #rest = Buffer.alloc(0);
  #file = -1;
  #fileBytesLeft = 0;
  #paddingLeft = 0;
  #ended = false;

  /** @param {string} folder */
  constructor(folder) {
    this.#folder = folder;
  }

  /** @param {Buffer} piece */
  write(piece) {
    let bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    while (bytes.length > 0 && !this.#ended) {
      if (this.#fileBytesLeft > 0) bytes = this.#writeFile(bytes);
      else if (this.#paddingLeft > 0) bytes = this.#skipPadding(bytes);
      else if (bytes.length < BLOCK_BYTES) break;
      else {
        this.#begin(bytes.subarray(0, BLOCK_BYTES));
        bytes = bytes.subarray(BLOCK_BYTES);
      }
    }
    this.#rest = Buffer.from(bytes);
  }

  end() {
    if (!this.#ended) throw new UnpackFailure('the archive ends too early.');
  }

  #writeFile(bytes) {
    const count = Math.min(bytes.length, this.#fileBytesLeft);
    for (let at = 0; at < count;) at += writeSync(this.#file, bytes, at, count - at);
    this.#fileBytesLeft -= count;
    if (this.#fileBytesLeft === 0) closeSync(this.#file);
    return bytes.subarray(count);
  }

  #skipPadding(bytes) {
    const count = Math.min(bytes.length, this.#paddingLeft);
    this.#paddingLeft -= count;
    return bytes.subarray(count);
  }

  #begin(header) {
    if (header.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    const text = (from, length) => {
      const field = header.subarray(from, from + length);
      const end = field.indexOf(0);
      return field.toString('utf8', 0, end === -1 ? length : end);
    };
    const [name, prefix, type, link] = [text(0, 100), text(345, 155), text(156, 1), text(157, 100)];
    const path = prefix === '' ? name : `${prefix}/${name}`;
    if (path === '' || isAbsolute(path) || normalize(path).split('/')[0] === '..')
      throw new UnpackFailure(`the archive names ${path}, outside of the folder.`);
    const target = join(this.#folder, path);
    mkdirSync(dirname(target), { recursive: true });
    if (type === '2') {
      symlinkSync(link, target);
      return;
    }
    if (type !== '0')
      throw new UnpackFailure(`the archive holds ${path} of type ${JSON.stringify(type)}, which this program does not write.`);
    const size = parseInt(text(124, 12), 8);
    const mode = parseInt(text(100, 8), 8);
    this.#file = openSync(target, 'wx', mode);
    this.#fileBytesLeft = size;
    this.#paddingLeft = -size & (BLOCK_BYTES - 1);
    if (size === 0) closeSync(this.#file);
  }
}

/** @param {string} parts @param {string} work @param {any} manifest */
async function unpackArchive(parts, work, manifest) {
  for (const entry of readdirSync(work)) if (entry !== 'runtime') rmSync(join(work, entry), { recursive: true, force: true });
  const tar = new TarWriter(work);
  const hash = createHash('sha256');
  let done = 0;
  for (const { name, frames } of manifest.parts) {
    const part = readFileSync(join(parts, name));
    let at = 0;
    for (const { bytes, compressedBytes } of frames) {
      const frame = await decompress(part.subarray(at, at + compressedBytes), { maxOutputLength: bytes, chunkSize: 4 << 20 });
      at += compressedBytes;
      hash.update(frame);
      tar.write(frame);
      done += frame.length;
    }
    console.log(`${name} unpacked, ${mib(done)} of ${mib(manifest.archive.bytes)} MiB`);
  }
  tar.end();
  const sha256 = hash.digest('hex');
  if (sha256 !== manifest.archive.sha256)
    throw new UnpackFailure(`the unpacked archive has SHA-256 ${sha256}, expected ${manifest.archive.sha256}.`);
}

/** libstdc++ of this machine if the addon loads with it, else ours: the newer is often the machine's, and drivers are made for it. */
function chooseLibraries(work, binding) {
  const script = 'process.stdout.write(require(process.argv[1]).TF_Version)';
  const own = join(work, 'runtime', 'lib');
  const inherited = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '' && folder !== own);
  const load = (folders) =>
    spawnSync(join(work, 'runtime', 'node'), ['-e', script, join(work, binding)], {
      encoding: 'utf8',
      env: { ...process.env, LD_LIBRARY_PATH: folders.join(':'), TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '-1' },
    });
  const theirs = load(inherited);
  if (theirs.status === 0) return theirs.stdout;
  const ours = load([own, ...inherited]);
  if (ours.status !== 0) throw new UnpackFailure(`TensorFlow does not load on this machine.\n${lastLines(theirs)}\n${lastLines(ours)}`);
  writeFileSync(
    join(work, 'runtime', 'use-own-libraries'),
    'The libstdc++ of the machine that this was unpacked on is missing or too old.\n',
  );
  return ours.stdout;
}

/** The loader's own words. */
const lastLines = ({ stderr, signal }) =>
  stderr
    .split('\n')
    .filter((line) => /Error:|error|GLIBC|cannot/.test(line))
    .slice(0, 3)
    .join('\n') || `it ended with ${signal ?? 'no message'}`;

async function main([parts, target, manifestSha256]) {
  const work = join(target, WORK);
  const manifest = readManifest(parts, manifestSha256);
  const runtimeParts = manifest.runtime.flatMap((file) => file.parts);
  console.log(`Checking ${runtimeParts.length + manifest.parts.length} parts`);
  await requireParts(parts, [...runtimeParts, ...manifest.parts]);
  requireSpace(target, manifest.archive.bytes);
  await unpackArchive(parts, work, manifest);
  if (manifest.binding !== null) console.log(`TensorFlow ${chooseLibraries(work, manifest.binding)} loads on this machine`);
  for (const { path } of manifest.runtime) chmodSync(join(work, 'runtime', path), 0o755);
  // The program to start comes last: where it is, everything is.
  const entries = readdirSync(work).sort((a, b) => Number(a === 'bin') - Number(b === 'bin'));
  for (const entry of entries) renameSync(join(work, entry), join(target, entry));
  rmdirSync(work);
  console.log(
    `\nThe worker is in ${target}\n  ${target}/bin/roentgen worker selftest   checks this machine\n  ${target}/bin/roentgen worker            runs a worker`,
  );
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UnpackFailure ? error.message : error);
  process.exitCode = 1;
}
