import { WeightsFileError } from '../errors.js';
import type { NamedTensors } from '../named-tensor.js';
import { readKerasH5 } from './keras-h5.js';
import { readSafetensors } from './safetensors.js';
import { isTorchStream, readTorchStream, readTorchZip } from './torch-file.js';

export type WeightsFormat = 'safetensors' | 'torch-zip' | 'torch-stream' | 'keras-h5';

const HDF5_SIGNATURE = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);
const ZIP_SIGNATURE = Uint8Array.of(0x50, 0x4b, 0x03, 0x04);
const OPENING_BRACE = '{'.charCodeAt(0);
const SAFETENSORS_HEADER_AT = 8;

/** By the first bytes; names of files say nothing. @throws WeightsFileError `WEIGHTS_UNKNOWN_FORMAT` */
export function detectWeightsFormat(file: Uint8Array): WeightsFormat {
  const begins = (signature: Uint8Array) => signature.every((byte, at) => file[at] === byte);
  if (begins(HDF5_SIGNATURE)) return 'keras-h5';
  if (begins(ZIP_SIGNATURE)) return 'torch-zip';
  if (isTorchStream(file)) return 'torch-stream';
  if (file[SAFETENSORS_HEADER_AT] === OPENING_BRACE) return 'safetensors';
  const first = Buffer.from(file.subarray(0, 8)).toString('hex') || 'no bytes at all';
  throw new WeightsFileError('WEIGHTS_UNKNOWN_FORMAT', { value: `a file that begins with ${first}`, rule: 'no known format does' });
}

/**
 * All tensors of a weight file, as float32 copies, under the names that the file gives them. Nothing in the file is executed.
 *
 * @throws WeightsFileError saying what is wrong with the file
 */
export async function readWeightsFile(file: Uint8Array): Promise<{ readonly format: WeightsFormat; readonly tensors: NamedTensors }> {
  const format = detectWeightsFormat(file);
  return { format, tensors: await READERS[format](file) };
}

const READERS: Readonly<Record<WeightsFormat, (file: Uint8Array) => NamedTensors | Promise<NamedTensors>>> = {
  safetensors: readSafetensors,
  'torch-zip': readTorchZip,
  'torch-stream': readTorchStream,
  'keras-h5': readKerasH5,
};
