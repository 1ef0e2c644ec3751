import { SafetensorsError, decodeSafetensors as decode } from '@roentgen/tensorflow';
import type { NamedTensor } from '@roentgen/tensorflow';
import { CheckpointError } from './errors.js';

export { encodeSafetensors } from '@roentgen/tensorflow';
export type { NamedTensor } from '@roentgen/tensorflow';

/** The tensors of a checkpoint's file. @throws CheckpointError for anything that the format does not allow, and for other element types */
export function decodeSafetensors(file: Uint8Array): ReadonlyMap<string, NamedTensor> {
  try {
    return decode(file);
  } catch (thrown) {
    if (thrown instanceof SafetensorsError) throw new CheckpointError(thrown.message, thrown.details, { cause: thrown });
    throw thrown;
  }
}
