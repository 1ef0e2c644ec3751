import { WeightsFileError } from '../errors.js';
import { checkLimit } from '../limits.js';
import { decodeElements, ELEMENT_BYTES, elementCount, TensorBudget } from '../named-tensor.js';
import type { NamedTensor, NamedTensors } from '../named-tensor.js';
import { copyStrided } from '../strided.js';
import { PickleDict, TensorRef } from './pickle-values.js';
import type { PickleValue, StorageRef } from './pickle-values.js';

/** Where checkpoints of training scripts keep the weights, averaged ones first. */
const STATE_DICT_KEYS = ['state_dict_ema', 'model_ema', 'state_dict', 'model_state_dict', 'model'];

/** A storage's bytes: exactly `length` elements. */
export type StorageReader = (storage: StorageRef) => Uint8Array;

/**
 * The tensors of a state dictionary, or of the one inside a checkpoint. Entries that are no tensors are left out.
 *
 * @throws WeightsFileError when there is none, or a tensor looks past its storage
 */
export function materializeTensors(root: PickleValue, readStorage: StorageReader): NamedTensors {
  const refs = [...findStateDict(root).items].flatMap(([key, value]): [string, TensorRef][] =>
    value instanceof TensorRef ? [[String(key), value]] : [],
  );
  checkAmounts(refs);
  const decoded = new Map<string, Float32Array>();
  const tensors = new Map<string, NamedTensor>();
  for (const [name, ref] of refs) {
    const { storage, shape } = ref;
    const elements = decoded.get(storage.key) ?? decodeStorage(storage, readStorage);
    decoded.set(storage.key, elements);
    tensors.set(name, { name, dtype: storage.dtype, shape, data: copyStrided(elements, ref) });
  }
  return tensors;
}

/** All of them before the first is in memory: a small file can ask for any number of views of one storage. */
function checkAmounts(refs: readonly (readonly [string, TensorRef])[]): void {
  const budget = new TensorBudget();
  const storages = new Map<string, number>();
  for (const [name, ref] of refs) {
    budget.take(elementCount(name, ref.shape));
    checkBounds(name, ref);
    storages.set(ref.storage.key, ref.storage.length);
  }
  const elements = [...storages.values()].reduce((sum, length) => sum + length, 0);
  checkLimit('elements', elements, 'elements of all storages');
}

function findStateDict(root: PickleValue): PickleDict {
  const candidates = [root, ...(root instanceof PickleDict ? STATE_DICT_KEYS.map((key) => root.items.get(key) ?? null) : [])];
  for (const candidate of candidates) {
    if (candidate instanceof PickleDict && [...candidate.items.values()].some((value) => value instanceof TensorRef)) return candidate;
  }
  throw new WeightsFileError('WEIGHTS_MALFORMED', {
    value: 'a pickle without a dictionary of tensors',
    rule: `it is a state_dict, or a dictionary that has one as ${STATE_DICT_KEYS.join(', ')}`,
    fix: 'Save model.state_dict() with torch.save.',
  });
}

function decodeStorage(storage: StorageRef, readStorage: StorageReader): Float32Array {
  const bytes = readStorage(storage);
  const expected = storage.length * ELEMENT_BYTES[storage.dtype];
  if (bytes.length !== expected) {
    throw new WeightsFileError(bytes.length < expected ? 'WEIGHTS_TRUNCATED' : 'WEIGHTS_MALFORMED', {
      value: `storage "${storage.key}" of ${bytes.length} bytes`,
      rule: `${storage.length} × ${storage.dtype} are ${expected}`,
    });
  }
  return decodeElements(bytes, storage.dtype);
}

function checkBounds(name: string, { storage, offset, shape, strides }: TensorRef): void {
  const isEmpty = shape.includes(0);
  const last = shape.reduce((sum, dimension, axis) => sum + (dimension - 1) * (strides[axis] ?? 0), offset);
  if (!isEmpty && last >= storage.length) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `"${name}" [${shape.join(', ')}] with strides [${strides.join(', ')}] from element ${offset} reaches element ${last}`,
      rule: `its storage "${storage.key}" has ${storage.length}`,
    });
  }
}
