import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  BINDING_PATH,
  FrameStore,
  bundleContents,
  libtensorflowFolder,
  prepareLibtensorflow,
  runtimeFiles,
  writeBundle,
  type BundleReport,
  type Compression,
  type LockedPackages,
} from '../bundle/index.js';
import { UsageError } from '../failure.js';
import { table } from '../output.js';
import type { CommandContext } from '../session.js';
import { REPOSITORY_ROOT } from '../up/service.js';

export interface BundleCommandOptions {
  readonly device: 'cpu' | 'cuda';
  readonly partSize: number;
  readonly out: string;
  readonly compression: Compression;
  readonly withCudaLibraries?: boolean;
}

/** `roentgen worker bundle`: what a worker is made of, in parts that can be carried to a machine without internet. */
export async function bundleCommand(context: CommandContext, options: BundleCommandOptions): Promise<void> {
  const { output, signal, environment, stderr } = context;
  const { device, partSize, compression, withCudaLibraries = false } = options;
  if (withCudaLibraries && device === 'cpu') throw new UsageError('--with-cuda-libraries goes with --device cuda.');
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new UsageError(`A bundle is for Linux x64 and made of what runs here, which is ${process.platform} ${process.arch}.`);
  const root = REPOSITORY_ROOT;
  const { version, bindingPath, cacheDirectory } = await prepareLibtensorflow({
    root,
    device,
    cudaLibraries: withCudaLibraries,
    environment,
    stderr,
    signal,
  });
  signal.addEventListener('abort', () =>
    output.note('Stopping: what is being compressed is finished and kept first; Ctrl-C again stops at once.'),
  );
  const packages = readLock(root);
  const nodePath = process.execPath;
  const libtensorflow = { version, device, folder: libtensorflowFolder(bindingPath), withCudaLibraries };
  const report = await writeBundle({
    entries: bundleContents({ root, packages, libtensorflow, nodePath }),
    runtime: runtimeFiles(nodePath),
    binding: BINDING_PATH,
    description: {
      roentgen: packages['']?.version ?? '',
      device,
      cudaLibraries: withCudaLibraries ? 'in the bundle' : 'of the machine',
      tensorflow: version,
      node: process.version,
      platform: 'linux-x64',
    },
    out: resolve(options.out),
    partBytes: partSize,
    compression,
    // What is fast to compress is not worth keeping.
    frames: compression === 'best' ? FrameStore.in(join(cacheDirectory, 'bundle-frames')) : FrameStore.none(),
    templates: join(root, 'packages', 'cli', 'bundle'),
    signal,
    onProgress: progressIn(context),
  });
  output.result({ device, out: resolve(options.out), compression, partBytes: partSize, ...report }, () => words(report, options));
}

function readLock(root: string): LockedPackages {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: LockedPackages };
  return packages;
}

const MIB = 2 ** 20;

function progressIn({ output }: CommandContext) {
  let bar: ReturnType<typeof output.progress> | undefined;
  return (doneBytes: number, totalBytes: number): void => {
    bar ??= output.progress('packed MiB', Math.ceil(totalBytes / MIB));
    bar.update(Math.ceil(doneBytes / MIB));
    if (doneBytes === totalBytes) bar.end();
  };
}

function words({ files, archive, keptParts }: BundleReport, { out }: BundleCommandOptions): string {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    table(
      ['file', 'bytes', 'sha256'],
      files.map(({ name, bytes, sha256 }) => [name, bytes, sha256]),
    ),
    '',
    `${files.length} files, ${(total / MIB).toFixed(0)} MiB in ${out}; unpacked ${(archive.bytes / MIB).toFixed(0)} MiB and Node${keptParts > 0 ? `; ${keptParts} parts were there already` : ''}.`,
    'Bring all of them into one folder of the other machine, and run there: sh unpack.sh FOLDER',
  ].join('\n');
}
