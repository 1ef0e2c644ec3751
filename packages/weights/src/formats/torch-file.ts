import { WeightsFileError } from '../errors.js';
import { WEIGHTS_LIMITS } from '../limits.js';
import { checkFileSize, ELEMENT_BYTES } from '../named-tensor.js';
import type { NamedTensors } from '../named-tensor.js';
import { readPickle } from './pickle-reader.js';
import { PickleDict } from './pickle-values.js';
import type { StorageRef } from './pickle-values.js';
import { materializeTensors } from './torch-tensors.js';
import { ZipArchive } from './zip-archive.js';

/** First value of the stream form. */
const STREAM_MAGIC = 0x1950a86a20f9469cfc6cn;
const STREAM_PROTOCOL = 1001;
/** The first pickle of the stream form in full: protocol 2, LONG1 of ten bytes, STOP. */
const STREAM_BEGIN = Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);
const LENGTH_BYTES = 8;
const MAX_BYTE_ORDER_BYTES = 16;

/** Whether the bytes begin like PyTorch's older form (torch.save before 1.6, or with `_use_new_zipfile_serialization=False`). */
export function isTorchStream(file: Uint8Array): boolean {
  return STREAM_BEGIN.every((byte, at) => file[at] === byte);
}

/**
 * Reads what torch.save has written since 1.6: a zip archive with `<root>/data.pkl` and one `<root>/data/<key>` per storage.
 *
 * @throws WeightsFileError when the archive is damaged or its pickle asks for anything but tensors
 */
export function readTorchZip(file: Uint8Array): NamedTensors {
  checkFileSize(file);
  const archive = new ZipArchive(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
  const [pickle, ...others] = archive.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (!pickle || others.length > 0) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: 'an archive without one data.pkl',
      rule: 'torch.save writes <name>/data.pkl',
    });
  }
  const root = pickle.slice(0, pickle.lastIndexOf('/'));
  const byteOrder = `${root}/byteorder`;
  if (archive.names.includes(byteOrder) && new TextDecoder().decode(archive.read(byteOrder, MAX_BYTE_ORDER_BYTES)) !== 'little')
    throw bigEndian();
  const { value } = readPickle(archive.read(pickle, WEIGHTS_LIMITS.headerBytes));
  return materializeTensors(value, ({ key, dtype, length }) => archive.read(`${root}/data/${key}`, length * ELEMENT_BYTES[dtype]));
}

/**
 * Reads what torch.save wrote before 1.6: pickles of a magic number, the protocol, the writer's machine, the state dictionary and the keys
 * of the storages, then for each key an element count (int64) and the elements.
 *
 * @throws WeightsFileError when the file is damaged or a pickle asks for anything but tensors
 */
export function readTorchStream(file: Uint8Array): NamedTensors {
  checkFileSize(file);
  const magic = readPickle(file);
  const protocol = readPickle(file, magic.end);
  if (magic.value !== STREAM_MAGIC || protocol.value !== STREAM_PROTOCOL) {
    throw new WeightsFileError('WEIGHTS_UNSUPPORTED', {
      value: `a stream with magic number ${String(magic.value)} and protocol ${String(protocol.value)}`,
      rule: `PyTorch writes 0x${STREAM_MAGIC.toString(16)} and ${STREAM_PROTOCOL}`,
    });
  }
  const machine = readPickle(file, protocol.end);
  if (!(machine.value instanceof PickleDict) || machine.value.items.get('little_endian') !== true) throw bigEndian();
  const root = readPickle(file, machine.end);
  const keys = readPickle(file, root.end);
  if (!Array.isArray(keys.value) || !keys.value.every((key) => typeof key === 'string')) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', { value: 'the list of storages', rule: 'it is a list of texts' });
  }
  const storages = locateStorages(file, keys.end, keys.value, root.storages);
  return materializeTensors(root.value, ({ key }) => storages.get(key) ?? new Uint8Array());
}

/** They lie one after another in the order of their keys, so each begins where the element sizes of those before it say. */
function locateStorages(
  file: Uint8Array,
  begin: number,
  keys: readonly string[],
  storages: ReadonlyMap<string, StorageRef>,
): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const places = new Map<string, Uint8Array>();
  let at = begin;
  for (const key of keys) {
    const storage = storages.get(key);
    if (!storage || places.has(key)) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', {
        value: `storage "${key}"`,
        rule: 'the state dictionary mentions each listed storage once',
      });
    }
    if (at + LENGTH_BYTES > file.length) throw truncated(file, key, at + LENGTH_BYTES);
    const length = Number(view.getBigInt64(at, true));
    if (length !== storage.length) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', {
        value: `storage "${key}" of ${length} elements`,
        rule: `the state dictionary says ${storage.length}`,
      });
    }
    const end = at + LENGTH_BYTES + length * ELEMENT_BYTES[storage.dtype];
    if (end > file.length) throw truncated(file, key, end);
    places.set(key, file.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  if (at !== file.length) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `${file.length - at} bytes after the last storage`,
      rule: 'the file ends there',
    });
  }
  return places;
}

function truncated(file: Uint8Array, key: string, end: number): WeightsFileError {
  return new WeightsFileError('WEIGHTS_TRUNCATED', {
    value: `a file of ${file.length} bytes`,
    rule: `storage "${key}" ends at byte ${end}`,
  });
}

function bigEndian(): WeightsFileError {
  return new WeightsFileError('WEIGHTS_UNSUPPORTED', { value: 'a file of a big-endian machine', rule: 'little-endian files are read' });
}
