import type * as Hdf5Module from 'h5wasm';
import type { Dataset, Group } from 'h5wasm';
import { WeightsFileError } from '../errors.js';
import { checkFileSize, elementCount, TensorBudget } from '../named-tensor.js';
import type { ElementType, NamedTensor, NamedTensors } from '../named-tensor.js';
import { checkLimit } from '../limits.js';

type Hdf5 = typeof Hdf5Module;

/** State of the optimiser, in files of whole models. */
const OPTIMIZER_GROUPS = new Set(['optimizer', 'optimizer_weights']);
/** Deeper than any Keras file, and a bound for groups that contain themselves. */
const MAX_DEPTH = 12;
const FLOAT_CLASS = 1;
const INTEGER_CLASS = 0;
let fileNumber = 0;

/**
 * Reads the datasets of a Keras `.h5` or `.weights.h5` file by their paths, without the first slash and `model_weights/`. Where Keras 3 named a layer in an
 * attribute (`layers/conv2d_3/vars` has the name `block1b_expand_conv`) the path is `<layer>/vars/<n>`.
 *
 * The HDF5 library runs as WebAssembly on a file system in memory: neither a damaged file nor a link to another one reaches
 * anything outside of it.
 *
 * @throws WeightsFileError when the file is damaged, compressed, or above a limit
 */
export async function readKerasH5(bytes: Uint8Array): Promise<NamedTensors> {
  checkFileSize(bytes);
  // Only here: its 4 MB of WebAssembly start with the import.
  const hdf5 = await import('h5wasm');
  const { FS, activate_throwing_error_handler: throwErrors } = await hdf5.ready;
  // Otherwise the library prints a stack of its own to stderr for each.
  throwErrors();
  const path = `/weights-${(fileNumber += 1)}.h5`;
  FS.writeFile(path, bytes);
  try {
    return readFile(hdf5, path);
  } catch (cause) {
    if (cause instanceof WeightsFileError) throw cause;
    throw new WeightsFileError('WEIGHTS_MALFORMED', { value: 'the file', rule: 'the HDF5 library can read it' }, { cause });
  } finally {
    FS.unlink(path);
  }
}

function readFile(hdf5: Hdf5, path: string): NamedTensors {
  const file = new hdf5.File(path, 'r');
  if (file.file_id < 0n) throw new WeightsFileError('WEIGHTS_TRUNCATED', { value: 'the file', rule: 'the HDF5 library can open it' });
  try {
    const walk = new Hdf5Walk(hdf5);
    const model = file.get('model_weights');
    walk.visit(model instanceof hdf5.Group ? model : file, '', 0);
    return new Map(walk.found.map((place) => [place.name, readTensor(place)]));
  } finally {
    file.close();
  }
}

interface DatasetPlace extends Omit<NamedTensor, 'data'> {
  readonly dataset: Dataset;
  /** Number of elements. */
  readonly count: number;
}

/** Finds the datasets without reading them: any number of names may lead to one dataset, so they are counted before the first is in memory. */
class Hdf5Walk {
  readonly found: DatasetPlace[] = [];
  private readonly budget = new TensorBudget();
  private visited = 0;

  constructor(private readonly hdf5: Hdf5) {}

  visit(group: Group, prefix: string, depth: number): void {
    if (depth > MAX_DEPTH)
      throw new WeightsFileError('WEIGHTS_LIMIT', { value: `groups within groups at "${prefix}"`, rule: `at most ${MAX_DEPTH} deep` });
    for (const key of group.keys()) {
      checkLimit('tensors', (this.visited += 1), 'groups and datasets of the file');
      if (depth === 0 && OPTIMIZER_GROUPS.has(key)) continue;
      const name = prefix + key;
      const entity = group.get(key);
      if (entity instanceof this.hdf5.Dataset) this.found.push(this.place(name, entity));
      else if (entity instanceof this.hdf5.Group) this.visit(entity, `${layerName(entity, key) ?? name}/`, depth + 1);
      else
        throw new WeightsFileError('WEIGHTS_UNSUPPORTED', {
          value: `"${name}"`,
          rule: 'only groups and datasets of the file itself are read',
        });
    }
  }

  private place(name: string, dataset: Dataset): DatasetPlace {
    const { type, size, signed, littleEndian, virtual_sources: virtualSources } = dataset.metadata;
    const shape = dataset.shape ?? [];
    const dtype = elementType(type, size, signed);
    if (!dtype || !littleEndian || virtualSources?.length) {
      throw new WeightsFileError('WEIGHTS_UNSUPPORTED', {
        value: `the elements of "${name}"`,
        rule: 'little-endian numbers in the file itself are read',
      });
    }
    // Keras does not compress, and a small file could ask for any amount of memory.
    if (dataset.filters.length > 0) {
      throw new WeightsFileError('WEIGHTS_UNSUPPORTED', { value: `"${name}" is compressed`, rule: 'Keras stores weights uncompressed' });
    }
    const count = elementCount(name, shape);
    this.budget.take(count);
    return { name, dtype, shape, count, dataset };
  }
}

function readTensor({ dataset, count, name, dtype, shape }: DatasetPlace): NamedTensor {
  const { value } = dataset;
  const data = typeof value === 'number' || typeof value === 'bigint' ? Float32Array.of(Number(value)) : toFloats(value);
  if (data?.length === count) return { name, dtype, shape, data };
  throw new WeightsFileError('WEIGHTS_TRUNCATED', {
    value: `${data?.length ?? 'no'} elements of "${name}"`,
    rule: `[${shape.join(', ')}] are ${count}`,
  });
}

/** What Keras 3 calls the layer, with its `vars` group; null elsewhere. */
function layerName(group: Group, key: string): string | null {
  if (key !== 'vars') return null;
  const name = group.attrs['name']?.value;
  return typeof name === 'string' ? `${name}/vars` : null;
}

function elementType(type: number, size: number, signed: boolean): ElementType | null {
  if (type === FLOAT_CLASS) return ({ 4: 'F32', 8: 'F64', 2: 'F16' } as const)[size] ?? null;
  if (type !== INTEGER_CLASS) return null;
  if (!signed) return size === 1 ? 'U8' : null;
  return ({ 1: 'I8', 2: 'I16', 4: 'I32', 8: 'I64' } as const)[size] ?? null;
}

function toFloats(value: unknown): Float32Array | null {
  if (value instanceof BigInt64Array) return Float32Array.from(value, Number);
  if (value instanceof Float32Array || value instanceof Float64Array) return Float32Array.from(value);
  if (value instanceof Int8Array || value instanceof Uint8Array || value instanceof Int16Array || value instanceof Int32Array)
    return Float32Array.from(value);
  return null;
}
