import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
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

/** Some 10 ms of work. */
const HASHED_AT_ONCE_BYTES = 8 * 1024 * 1024;

/** The SHA-256, hexadecimal. What is large is hashed with pauses: heartbeats come from this thread. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let start = 0; start < bytes.length; start += HASHED_AT_ONCE_BYTES) {
    if (start > 0) await nextTurn();
    hash.update(bytes.subarray(start, start + HASHED_AT_ONCE_BYTES));
  }
  return hash.digest('hex');
}

/** The bytes of an object, and no other bytes. @throws ObjectMissingError, ObjectCorruptError, UnavailableError */
export async function downloadVerified(store: Reader, object: KnownObject, options: PatientOptions): Promise<Buffer> {
  const bytes = await downloadNamed(store, object.key, object.what, options);
  const found = await sha256Of(bytes);
  if (found === object.sha256) return bytes;
  throw new ObjectCorruptError(
    `${object.what}: the object ${object.key} has SHA-256 ${found}, expected ${object.sha256}: it was changed in the store. Upload the file again.`,
    { ...object, found },
  );
}

/** The bytes of an object. @throws ObjectMissingError naming the file, UnavailableError */
export async function downloadNamed(store: Reader, key: string, what: string, options: PatientOptions): Promise<Buffer> {
  try {
    return await patiently(`download of ${what}`, () => store.get(key, options.onProgress), options);
  } catch (error) {
    if (!(error instanceof ObjectNotFoundError)) throw error;
    throw new ObjectMissingError(
      `${what}: there is no object ${key} in the store. Upload the file again, or restore the bucket.`,
      { what, key },
      { cause: error },
    );
  }
}
