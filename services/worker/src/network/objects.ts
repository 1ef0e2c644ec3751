import { createHash } from 'node:crypto';
import type { ObjectStore } from '@roentgen/domain';
import { ObjectNotFoundError } from '@roentgen/storage';
import { ObjectCorruptError, ObjectMissingError } from '../errors.js';
import { patiently, type PatientOptions } from './patience.js';

type Reader = Pick<ObjectStore, 'get'>;

/** An object whose content is known beforehand. */
export interface KnownObject {
  readonly key: string;
  readonly sha256: string;
  /** What people call it: a file name, "checkpoint ckp_…". */
  readonly what: string;
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The bytes of an object, and no other bytes. @throws ObjectMissingError, ObjectCorruptError, UnavailableError */
export async function downloadVerified(store: Reader, object: KnownObject, options: PatientOptions): Promise<Buffer> {
  const bytes = await downloadNamed(store, object.key, object.what, options);
  const found = sha256Of(bytes);
  if (found === object.sha256) return bytes;
  throw new ObjectCorruptError(
    `${object.what}: the object ${object.key} has SHA-256 ${found}, expected ${object.sha256}: it was changed in the store. Upload the file again.`,
    { ...object, found },
  );
}

/** The bytes of an object. @throws ObjectMissingError naming the file, UnavailableError */
export async function downloadNamed(store: Reader, key: string, what: string, options: PatientOptions): Promise<Buffer> {
  try {
    return await patiently(`download of ${what}`, () => store.get(key), options);
  } catch (error) {
    if (!(error instanceof ObjectNotFoundError)) throw error;
    throw new ObjectMissingError(
      `${what}: there is no object ${key} in the store. Upload the file again, or restore the bucket.`,
      { what, key },
      { cause: error },
    );
  }
}
