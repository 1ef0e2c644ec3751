import type { Client } from 'minio';
import type { IncompleteUpload, ListedObject, ObjectInventory, SignedRemovals } from '@roentgen/domain';
import { coerceError } from '@roentgen/domain';
import { isTransient, translateError } from './errors.js';
import { DEFAULT_RETRY, withRetries } from './retry.js';
import { clientFor, type S3Options } from './s3-object-store.js';

const REMOVALS_AT_ONCE = 8;
const REMOVAL_TIMEOUT_MS = 20_000;

/** The object store as its janitor sees it. Errors of every method: UnavailableError, StoreAccessDeniedError, StoreError. */
export class S3ObjectInventory implements ObjectInventory {
  private readonly client: Client;

  /** Connects when it is first asked something. */
  constructor(private readonly options: Omit<S3Options, 'startupTimeoutMs'>) {
    this.client = clientFor(options.endpoint, 'S3_ENDPOINT', { ...options, startupTimeoutMs: 0 });
  }

  async list(prefix: string, after: string, limit: number): Promise<readonly ListedObject[]> {
    const { objects } = await this.call('listing', () =>
      this.client.listObjectsV2Query(this.options.bucket, prefix, '', '', Math.min(limit, 1000), after),
    );
    return objects.flatMap(({ name, size, lastModified }) =>
      // Without a delimiter there are no common prefixes, which are what has no name.
      name === undefined ? [] : [{ key: name, bytes: size, modifiedAt: new Date(lastModified).toISOString() }],
    );
  }

  async incompleteUploads(prefix: string): Promise<readonly IncompleteUpload[]> {
    const found: IncompleteUpload[] = [];
    for (let at = { key: '', id: '' }; ;) {
      const { key, id } = at;
      const page = await this.call('listing of incomplete uploads', () =>
        this.client.listIncompleteUploadsQuery(this.options.bucket, prefix, key, id, ''),
      );
      found.push(
        ...page.uploads.map((upload) => ({
          key: upload.key,
          storeUploadId: upload.uploadId,
          startedAt: new Date(upload.initiated).toISOString(),
        })),
      );
      if (!page.isTruncated || page.uploads.length === 0) return found;
      at = { key: page.nextKeyMarker, id: page.nextUploadIdMarker };
    }
  }

  async abortUpload({ key, storeUploadId }: IncompleteUpload): Promise<void> {
    try {
      await this.client.abortMultipartUpload(this.options.bucket, key, storeUploadId);
    } catch (thrown) {
      const error = coerceError(thrown);
      if ('code' in error && error.code === 'NoSuchUpload') return;
      throw translateError(error, { what: 'end of an incomplete upload', key, ...this.place() });
    }
  }

  async signRemovals(keys: readonly string[], validForSeconds: number): Promise<SignedRemovals> {
    const signedAt = new Date();
    const { bucket } = this.options;
    const urls = await Promise.all(
      keys.map(async (key) => ({ key, url: await this.client.presignedUrl('DELETE', bucket, key, validForSeconds, {}, signedAt) })),
    );
    return { send: (wanted) => sendAll(urls.filter(({ key }) => wanted.includes(key))) };
  }

  private async call<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await withRetries(DEFAULT_RETRY, isTransient, action);
    } catch (thrown) {
      throw translateError(thrown, { what, ...this.place() });
    }
  }

  private place() {
    const { endpoint, bucket } = this.options;
    return { endpoint, bucket };
  }
}

type Removed = { readonly key: string; readonly failure: string | null };

/** A few at a time; each once: what is not done is for the next pass, signed anew. */
async function sendAll(urls: readonly { readonly key: string; readonly url: string }[]): Promise<readonly Removed[]> {
  const results: Removed[] = [];
  const waiting = [...urls];
  const sendWaiting = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      results.push({ key: next.key, failure: await sendOne(next.url) });
    }
  };
  await Promise.all(Array.from({ length: REMOVALS_AT_ONCE }, sendWaiting));
  return results;
}

/** Null when the object is gone, else why not. */
async function sendOne(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { method: 'DELETE', signal: AbortSignal.timeout(REMOVAL_TIMEOUT_MS) });
    const code = /<Code>([^<]*)<\/Code>/.exec(await response.text())?.[1] ?? '';
    if (response.ok || (response.status === 404 && code !== 'NoSuchBucket')) return null;
    return `HTTP ${response.status} ${code}`.trim();
  } catch (thrown) {
    const error = coerceError(thrown);
    return error.cause instanceof Error ? error.cause.message : error.message;
  }
}
