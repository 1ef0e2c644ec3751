import { existsSync, lstatSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { closureOf, type Closure, type LockedPackages } from './closure.js';
import { loadedElf } from './elf.js';
import { licenceText } from './licences.js';
import type { TarEntry } from './tar-image.js';

export interface ContentsOptions {
  /** Root of the repository. */
  readonly root: string;
  /** Of package-lock.json. */
  readonly packages: LockedPackages;
  readonly libtensorflow: BundledLibtensorflow;
  /** The Node program whose licence goes along. */
  readonly nodePath: string;
}

/** The libtensorflow that goes into the bundle: a folder of set-up's cache. */
export interface BundledLibtensorflow {
  readonly version: string;
  readonly device: 'cpu' | 'cuda';
  /** Holds `lib/`, and `nvidia/` where CUDA's libraries were fetched. */
  readonly folder: string;
  readonly withCudaLibraries: boolean;
}

/** Where the addon lies in the unpacked bundle. */
export const BINDING_PATH = 'libtensorflow/lib/tfjs_binding.node';
const WORKER = 'services/worker';
/** Needed to compile the addon or to install a package, not to run the worker. */
const NOT_LOADED = ['@tensorflow/tfjs-node-gpu', 'node-api-headers', 'adm-zip', 'global-agent'];
/** Read by compilers, debuggers and people; for other systems than Linux x64; for browsers; sources of what is there compiled. */
const LIBRARY_FILES_LEFT_OUT = [
  /\.(map|md|markdown)$/i,
  /\.d\.[cm]?ts$/,
  /\.test\.[cm]?[jt]s$/,
  /^node_modules\/onnxruntime-node\/bin\/napi-v\d+\/(?!linux\/x64\/)/,
  /^node_modules\/h5wasm\/(src|test|dist\/iife)\//,
  /^node_modules\/zod\/src\//,
  /^node_modules\/@opentelemetry\/[^/]+\/build\/(esm|esnext)\//,
  /\/getMachineId-(bsd|darwin|win)\.js$/,
];
const SOURCES_LEFT_OUT = [/\.test\.ts$/, /\/src\/testing\//];
/** Files of our packages that are read at run time, beside their sources: the self-test's references. */
const DATA_FOLDERS = ['packages/training/fixtures'];

/** Everything that the worker needs on a machine that has none of it, apart from Node itself. */
export function bundleContents({ root, packages, libtensorflow, nodePath }: ContentsOptions): TarEntry[] {
  const isInstalled = (folder: string) => existsSync(join(root, folder, 'package.json'));
  const closure = closureOf({ packages, from: WORKER, leftOut: NOT_LOADED, isInstalled });
  return inArchiveOrder([
    ...ownFiles(root, closure),
    ...libraryFiles(root, closure),
    ...libtensorflowFiles(libtensorflow),
    textEntry('LICENSES.txt', licenceText({ packages, closure, libtensorflow, nodePath })),
    { ...fileEntry(join(root, 'packages/cli/bundle/roentgen.sh'), 'bin/roentgen'), executable: true },
  ]);
}

/** What changes least first: where the beginning of the archive is the same as last time, so are its frames. */
const ARCHIVE_ORDER = ['libtensorflow/', 'node_modules/', ''];

function inArchiveOrder(entries: readonly TarEntry[]): TarEntry[] {
  const rank = ({ path }: TarEntry) => ARCHIVE_ORDER.findIndex((prefix) => path.startsWith(prefix));
  return [...entries].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
}

function ownFiles(root: string, { workspaces }: Closure): TarEntry[] {
  const isWanted = (path: string) => !SOURCES_LEFT_OUT.some((pattern) => pattern.test(path));
  const folders = [...workspaces.map((workspace) => `${workspace}/src`), ...DATA_FOLDERS];
  return [
    ...['package.json', 'tsconfig.json', 'LICENSE', 'NOTICE'].map((file) => fileEntry(join(root, file), file)),
    ...workspaces.map((workspace) => fileEntry(join(root, workspace, 'package.json'), `${workspace}/package.json`)),
    ...folders.flatMap((folder) => filesBelow(join(root, folder), folder)).filter((entry) => isWanted(entry.path)),
    ...workspaces
      .filter((workspace) => workspace.startsWith('packages/'))
      .map((workspace) => linkEntry(`node_modules/@roentgen/${workspace.slice('packages/'.length)}`, `../../${workspace}`)),
  ];
}

function libraryFiles(root: string, { libraries }: Closure): TarEntry[] {
  return libraries
    .flatMap((folder) => filesBelow(join(root, folder), folder))
    .filter(({ path }) => !LIBRARY_FILES_LEFT_OUT.some((pattern) => pattern.test(path)));
}

function libtensorflowFiles({ version, device, folder, withCudaLibraries }: BundledLibtensorflow): TarEntry[] {
  const fromRecord = (path: string) => `../../${path}`;
  const libtensorflow = {
    version,
    device,
    bindingPath: fromRecord(BINDING_PATH),
    ...(withCudaLibraries ? { cudaDirectory: fromRecord('libtensorflow/nvidia/cuda_nvcc') } : {}),
  };
  return [
    ...filesBelow(join(folder, 'lib'), 'libtensorflow/lib').map(withoutSymbols),
    ...(withCudaLibraries ? filesBelow(join(folder, 'nvidia'), 'libtensorflow/nvidia').filter(isLoadedByCuda) : []),
    textEntry('node_modules/.roentgen/installation.json', `${JSON.stringify({ libtensorflow }, null, 2)}\n`),
  ];
}

/** NVIDIA's wheels bring headers and archives for linking as well. */
const isLoadedByCuda = ({ path }: TarEntry): boolean => !/\/include\/|\.a$|\.py$/.test(path);

function withoutSymbols(entry: TarEntry): TarEntry {
  if (!('file' in entry.source)) return entry;
  const loaded = loadedElf(entry.source.file);
  return loaded === null ? entry : { ...entry, source: { file: entry.source.file, ...loaded } };
}

const textEntry = (path: string, text: string): TarEntry => ({ path, executable: false, source: { bytes: Buffer.from(text) } });
const linkEntry = (path: string, link: string): TarEntry => ({ path, executable: false, source: { link } });

/** Small files are read now: what an editor writes into them meanwhile does not end up in half of a bundle. */
const READ_NOW_BYTES = 2 ** 20;

export function fileEntry(file: string, path: string): TarEntry {
  const { size, mode } = statSync(file);
  return {
    path,
    executable: (mode & 0o111) !== 0,
    source: size <= READ_NOW_BYTES ? { bytes: readFileSync(file) } : { file, sizeBytes: size },
  };
}

/** The regular files of a folder; nested node_modules are packages of their own. Links to files are followed, links to folders are left out. */
export function filesBelow(folder: string, path: string): TarEntry[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((found) => {
    const [from, to] = [join(folder, found.name), `${path}/${found.name}`];
    if (found.isDirectory()) return found.name === 'node_modules' ? [] : filesBelow(from, to);
    if (found.isFile() || (lstatSync(from).isSymbolicLink() && existsSync(from) && statSync(from).isFile())) return [fileEntry(from, to)];
    return [];
  });
}

/** @param bindingPath of the addon, in `lib/` of its package in the cache */
export const libtensorflowFolder = (bindingPath: string): string => dirname(dirname(bindingPath));
