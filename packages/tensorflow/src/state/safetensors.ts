import { SafetensorsError } from '../errors.js';

/** A float32 tensor by name. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const HEADER_LENGTH_BYTES = 8;
const HEADER_ALIGNMENT_BYTES = 8;
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA_KEY = '__metadata__';

/**
 * Writes the safetensors format (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON header, then the data
 * without gaps. Equal tensors in equal order give equal bytes.
 */
export function encodeSafetensors(tensors: readonly NamedTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const header: Record<string, unknown> = { [METADATA_KEY]: metadata };
  let dataBytes = 0;
  for (const { name, shape, data } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [dataBytes, dataBytes + data.byteLength] };
    dataBytes += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / HEADER_ALIGNMENT_BYTES) * HEADER_ALIGNMENT_BYTES;
  const file = new Uint8Array(HEADER_LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(' '.charCodeAt(0), HEADER_LENGTH_BYTES, HEADER_LENGTH_BYTES + headerBytes);
  file.set(json, HEADER_LENGTH_BYTES);
  let offset = HEADER_LENGTH_BYTES + headerBytes;
  for (const { data } of tensors) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return file;
}

/** What the writer said about the file besides its tensors. @throws SafetensorsError */
export function readSafetensorsMetadata(file: Uint8Array): Readonly<Record<string, string>> {
  const metadata = readHeader(file).header[METADATA_KEY] ?? {};
  if (isRecord(metadata) && hasOnlyTexts(metadata)) return metadata;
  throw new SafetensorsError(`the file's ${METADATA_KEY} are ${JSON.stringify(metadata).slice(0, 100)}, expected texts by name.`);
}

/** Reads float32 tensors, as copies. @throws SafetensorsError for anything that the format does not allow, and for other element types */
export function decodeSafetensors(file: Uint8Array): ReadonlyMap<string, NamedTensor> {
  const { header, dataStart } = readHeader(file);
  const dataBytes = file.length - dataStart;
  const infos = Object.entries(header)
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, info]) => ({ name, ...parseInfo(name, info) }))
    .sort((a, b) => a.begin - b.begin);
  let expectedBegin = 0;
  for (const { name, begin, end } of infos) {
    if (begin < expectedBegin) {
      throw new SafetensorsError(`tensor "${name}" begins at byte ${begin}, inside the tensor before it, which ends at ${expectedBegin}.`, {
        name,
      });
    }
    if (begin > expectedBegin) {
      throw new SafetensorsError(`there is a gap of ${begin - expectedBegin} bytes before tensor "${name}".`, { name });
    }
    expectedBegin = end;
  }
  if (expectedBegin !== dataBytes) {
    const what = expectedBegin > dataBytes ? 'truncated' : 'followed by bytes that belong to no tensor';
    throw new SafetensorsError(`the file is ${what}: its tensors need ${expectedBegin} bytes, it has ${dataBytes}.`, {
      expected: expectedBegin,
      got: dataBytes,
    });
  }
  return new Map(
    infos.map(({ name, shape, begin, end }) => [name, { name, shape, data: copyFloats(file, dataStart + begin, dataStart + end) }]),
  );
}

/** Not `file.slice`: a Buffer's shares its memory, and the floats may lie at an odd address. */
function copyFloats(file: Uint8Array, begin: number, end: number): Float32Array {
  return new Float32Array(Uint8Array.from(file.subarray(begin, end)).buffer);
}

function readHeader(file: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (file.length < HEADER_LENGTH_BYTES) {
    throw new SafetensorsError(`the file is truncated: ${file.length} bytes are less than the header's length field.`);
  }
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new SafetensorsError(`a header of ${length} bytes is more than the allowed ${MAX_HEADER_BYTES}: this is no safetensors file.`);
  }
  const dataStart = HEADER_LENGTH_BYTES + Number(length);
  if (file.length < dataStart) {
    throw new SafetensorsError(`the file is truncated: its header has ${length} bytes, ${file.length - HEADER_LENGTH_BYTES} are there.`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(HEADER_LENGTH_BYTES, dataStart));
    const header: unknown = JSON.parse(text);
    if (!isRecord(header)) throw new TypeError('the header is JSON, but no object');
    return { header, dataStart };
  } catch (cause) {
    throw new SafetensorsError('the header is no JSON object: this is no safetensors file.', {}, { cause });
  }
}

function parseInfo(name: string, info: unknown): { shape: number[]; begin: number; end: number } {
  const { dtype, shape, data_offsets: offsets, ...unknown } = isRecord(info) ? info : {};
  const isDescribed = typeof dtype === 'string' && isSizes(shape) && isSizes(offsets) && offsets.length === 2;
  if (!isDescribed || Object.keys(unknown).length > 0) {
    const found = JSON.stringify(info).slice(0, 200);
    throw new SafetensorsError(`tensor "${name}" is described wrongly: ${found}, expected dtype, shape and data_offsets.`, { name });
  }
  const [begin = 0, end = 0] = offsets;
  if (dtype !== 'F32') throw new SafetensorsError(`tensor "${name}" has element type ${dtype}, expected F32.`, { name, dtype });
  const bytes = shape.reduce((product, dimension) => product * dimension, Float32Array.BYTES_PER_ELEMENT);
  if (end - begin !== bytes) {
    throw new SafetensorsError(
      `tensor "${name}" of shape [${shape.join(', ')}] needs ${bytes} bytes, its offsets give it ${end - begin}.`,
      {
        name,
        shape,
        begin,
        end,
      },
    );
  }
  return { shape, begin, end };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const hasOnlyTexts = (record: Record<string, unknown>): record is Record<string, string> =>
  Object.values(record).every((value) => typeof value === 'string');
/** Whole numbers from 0. */
const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
