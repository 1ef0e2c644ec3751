import type { Readable } from 'node:stream';

/** Where bytes live. Keys are paths without a leading slash. */
export interface ObjectStore {
  /** Creates the bucket where it is absent; safe when several processes start at once. */
  ensureBucket(): Promise<void>;
  /** The object is whole or absent. @param onPart told as each part of a large one goes @throws StoreFullError when there is no room for it */
  put(key: string, bytes: Uint8Array, contentType: string, onPart?: () => void): Promise<void>;
  /** The whole object. @param onPart told as each part of it comes @throws ObjectNotFoundError */
  get(key: string, onPart?: () => void): Promise<Buffer>;
  /** The object as a stream. @throws ObjectNotFoundError */
  stream(key: string): Promise<Readable>;
  /** Null when there is no such object. */
  stat(key: string): Promise<{ readonly bytes: number } | null>;
  /** Server-side copy; the target is whole or absent. @throws ObjectNotFoundError */
  copy(fromKey: string, toKey: string): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  /** Resolves when the store answers and, as far as this process has found lately, has room. @throws UnavailableError, StoreFullError */
  check(): Promise<void>;
  /** A URL with which anyone can PUT exactly this key until it expires. */
  presignPut(key: string, expiresInSeconds: number): Promise<string>;
  /** A URL with which anyone can GET exactly this key until it expires; `fileName` is what a browser saves it as. */
  presignGet(key: string, expiresInSeconds: number, fileName?: string): Promise<string>;
}

/** An object as a listing tells of it. `modifiedAt`: by the store's clock, RFC 3339. */
export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedAt: string;
}

/** A multipart upload that was begun and neither completed nor given up. */
export interface IncompleteUpload {
  readonly key: string;
  readonly storeUploadId: string;
  readonly startedAt: string;
}

/** Removals that the store accepts for a short time only; see ObjectInventory.signRemovals. */
export interface SignedRemovals {
  /** Removes those of them that are named; what was not there counts as removed. `failure`: why one is still there. */
  send(keys: readonly string[]): Promise<readonly { readonly key: string; readonly failure: string | null }[]>;
}

/** What is in the store, and taking things out of it: for the janitor, who alone removes. */
export interface ObjectInventory {
  /** Up to 1,000 objects in the order of their keys (UTF-8 bytes), from the first after `after`; fewer or none only at the end. */
  list(prefix: string, after: string, limit: number): Promise<readonly ListedObject[]>;
  /** All below the prefix, in no order. MinIO tells only of those whose key is the prefix; it gives old ones up by itself, after a day. */
  incompleteUploads(prefix: string): Promise<readonly IncompleteUpload[]>;
  /** Gives a multipart upload up; one that is no longer there is none. */
  abortUpload(upload: IncompleteUpload): Promise<void>;
  /**
   * Signs the removal of each key now. The store itself refuses a removal that arrives later than `validForSeconds` from now, so a process that was
   * stopped in between cannot remove what has a new owner by then.
   */
  signRemovals(keys: readonly string[], validForSeconds: number): Promise<SignedRemovals>;
}

/** The present, so that tests can choose it. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
