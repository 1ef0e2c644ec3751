import { z } from 'zod';
import { WeightsFileError } from '../errors.js';
import { checkLimit } from '../limits.js';
import { checkFileSize, decodeElements, ELEMENT_BYTES, elementCount, TensorBudget } from '../named-tensor.js';
import type { ElementType, NamedTensor, NamedTensors } from '../named-tensor.js';

const LENGTH_BYTES = 8;
const METADATA_KEY = '__metadata__';

const TensorInfoSchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

/** Where a tensor lies; `begin` and `end` count from the end of the header. */
interface TensorPlace {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads the safetensors format (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON header, then the data
 * without gaps or overlaps.
 *
 * @throws WeightsFileError for everything that the format does not allow, and for element types that have no place in a network
 */
export function readSafetensors(file: Uint8Array): NamedTensors {
  checkFileSize(file);
  const { header, dataStart } = readHeader(file);
  const places = Object.entries(header)
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, info]) => parsePlace(name, info))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkPlaces(places, file.length - dataStart);
  const budget = new TensorBudget();
  const tensors = new Map<string, NamedTensor>();
  for (const { name, dtype, shape, begin, end } of places) {
    budget.take(elementCount(name, shape));
    tensors.set(name, { name, dtype, shape, data: decodeElements(file.subarray(dataStart + begin, dataStart + end), dtype) });
  }
  return tensors;
}

function readHeader(file: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (file.length < LENGTH_BYTES) {
    throw new WeightsFileError('WEIGHTS_TRUNCATED', {
      value: `a file of ${file.length} bytes`,
      rule: `the length of the header alone is ${LENGTH_BYTES} bytes`,
    });
  }
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  checkLimit('headerBytes', length, 'bytes of the header');
  const dataStart = LENGTH_BYTES + length;
  if (file.length < dataStart) {
    throw new WeightsFileError('WEIGHTS_TRUNCATED', {
      value: `${file.length - LENGTH_BYTES} bytes of header`,
      rule: `the file announces ${length}`,
    });
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(LENGTH_BYTES, dataStart));
    return { header: z.record(z.string(), z.unknown()).parse(JSON.parse(text)), dataStart };
  } catch (cause) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', { value: 'the header', rule: 'it is a JSON object in UTF-8' }, { cause });
  }
}

function parsePlace(name: string, info: unknown): TensorPlace {
  const parsed = TensorInfoSchema.safeParse(info);
  if (!parsed.success) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `the description of "${name}"`,
      rule: `it has dtype, shape and data_offsets (${z.prettifyError(parsed.error)})`,
    });
  }
  const { dtype, shape, data_offsets } = parsed.data;
  if (!isElementType(dtype)) {
    throw new WeightsFileError('WEIGHTS_UNSUPPORTED', {
      value: `"${name}" has the element type ${dtype}`,
      rule: `only ${Object.keys(ELEMENT_BYTES).join(', ')} are read`,
    });
  }
  const [begin, end] = data_offsets;
  const bytes = elementCount(name, shape) * ELEMENT_BYTES[dtype];
  if (end - begin !== bytes) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `"${name}" lies at bytes ${begin} to ${end}`,
      rule: `[${shape.join(', ')}] ${dtype} needs ${bytes} bytes`,
    });
  }
  return { name, dtype, shape, begin, end };
}

/** @param places sorted by `begin` */
function checkPlaces(places: readonly TensorPlace[], dataBytes: number): void {
  let expected = 0;
  for (const { name, begin, end } of places) {
    if (begin !== expected) {
      throw new WeightsFileError('WEIGHTS_MALFORMED', {
        value: `"${name}" begins at byte ${begin}`,
        rule: `the tensor before it ends at ${expected}, and tensors lie without gaps or overlaps`,
      });
    }
    expected = end;
  }
  if (expected > dataBytes) {
    throw new WeightsFileError('WEIGHTS_TRUNCATED', { value: `${dataBytes} bytes of data`, rule: `the tensors need ${expected}` });
  }
  if (expected < dataBytes) {
    throw new WeightsFileError('WEIGHTS_MALFORMED', {
      value: `${dataBytes - expected} bytes after the last tensor`,
      rule: 'every byte belongs to a tensor',
    });
  }
}

function isElementType(dtype: string): dtype is ElementType {
  return Object.hasOwn(ELEMENT_BYTES, dtype);
}
