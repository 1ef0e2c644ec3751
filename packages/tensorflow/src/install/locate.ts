import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { RoentgenError } from '@roentgen/domain';

/** libtensorflow or its addon is not on this machine. */
export class LibtensorflowMissingError extends RoentgenError {
  readonly code = 'LIBTENSORFLOW_MISSING';
}

/** The build of libtensorflow that set-up put on this machine. */
export interface LibtensorflowLocation {
  /** TensorFlow's version, as the addon's `TF_Version` must report it. */
  readonly version: string;
  /** What the build can use. A `cuda` build computes on the CPU where no GPU is visible. */
  readonly device: 'cpu' | 'cuda';
  /** The addon, to be loaded with `require`. */
  readonly bindingPath: string;
  /** Only with `cuda`: the folder with libdevice and ptxas, for `XLA_FLAGS=--xla_gpu_cuda_data_dir=…`. */
  readonly cudaDirectory?: string;
}

const RECORD = join('node_modules', '.roentgen', 'installation.json');
const FIX = 'Run `npm run setup` (npm start and npm test do it too).';

/** The record that set-up wrote, looked for like a module: in the node_modules of each folder upwards. */
function findRecord(from: string): string | undefined {
  const path = join(from, RECORD);
  if (existsSync(path)) return path;
  const parent = dirname(from);
  return parent === from ? undefined : findRecord(parent);
}

/** Reads the part about libtensorflow out of set-up's record at `path`, which relative paths in it start from. @throws {LibtensorflowMissingError} when it says nothing usable */
export function parseInstallationRecord(text: string, path: string): LibtensorflowLocation {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    throw new LibtensorflowMissingError(`${path} is no JSON. ${FIX}`, { path });
  }
  const entry: unknown = typeof record === 'object' && record !== null && 'libtensorflow' in record ? record.libtensorflow : undefined;
  if (typeof entry === 'object' && entry !== null && 'version' in entry && 'device' in entry && 'bindingPath' in entry) {
    const { version, device, bindingPath } = entry;
    if (typeof version === 'string' && typeof bindingPath === 'string' && (device === 'cpu' || device === 'cuda')) {
      // A folder that can be moved says where things are from here.
      const fromRecord = (named: string) => resolve(dirname(path), named);
      const cudaDirectory =
        'cudaDirectory' in entry && typeof entry.cudaDirectory === 'string' ? { cudaDirectory: fromRecord(entry.cudaDirectory) } : {};
      return { version, device, bindingPath: fromRecord(bindingPath), ...cudaDirectory };
    }
  }
  throw new LibtensorflowMissingError(`${path} does not say where libtensorflow is. ${FIX}`, { path });
}

/**
 * Where libtensorflow and its addon are.
 *
 * @param from folder whose node_modules, or one above, holds set-up's record; by default this package's own
 * @throws {LibtensorflowMissingError} when set-up has not run, or its cache was deleted since
 */
export function locateLibtensorflow(from: string = import.meta.dirname): LibtensorflowLocation {
  const path = findRecord(from);
  if (path === undefined)
    throw new LibtensorflowMissingError(`libtensorflow is not set up: no ${RECORD} at or above ${from}. ${FIX}`, { from });
  const location = parseInstallationRecord(readFileSync(path, 'utf8'), path);
  if (!existsSync(location.bindingPath)) {
    throw new LibtensorflowMissingError(`${path} names the addon ${location.bindingPath}, which is not there any more. ${FIX}`, {
      ...location,
    });
  }
  return location;
}
