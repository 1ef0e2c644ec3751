import type { Readable } from 'node:stream';

/** Where bytes live. Keys are paths without a leading slash. */
export interface ObjectStore {
  /** Creates the bucket where it is absent; safe when several processes start at once. */
  ensureBucket(): Promise<void>;
  put(key: string, bytes: Uint8Array, contentType: string): Promise<void>;
  /** The whole object. @throws ObjectNotFoundError */
  get(key: string): Promise<Buffer>;
  /** The object as a stream. @throws ObjectNotFoundError */
  stream(key: string): Promise<Readable>;
  /** Null when there is no such object. */
  stat(key: string): Promise<{ readonly bytes: number } | null>;
  /** Server-side copy; the target is whole or absent. @throws ObjectNotFoundError */
  copy(fromKey: string, toKey: string): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  /** A URL with which anyone can PUT exactly this key until it expires. */
  presignPut(key: string, expiresInSeconds: number): Promise<string>;
  /** A URL with which anyone can GET exactly this key until it expires; `fileName` is what a browser saves it as. */
  presignGet(key: string, expiresInSeconds: number, fileName?: string): Promise<string>;
}

/** The present, so that tests can choose it. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
