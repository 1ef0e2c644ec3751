import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'minio';
import { InvalidInputError, StoreFullError, UnavailableError, coerceError, type ObjectStore } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { contentDisposition } from './content-disposition.js';
import { ObjectNotFoundError, StoreError, isBusy, isTransient, refusesWrites, translateError, type StoreOperation } from './errors.js';
import { PART_BYTES, joined, parts } from './pieces.js';
import { DEFAULT_RETRY, withRetries } from './retry.js';
import { createTransport } from './transport.js';

export interface S3Options {
  /** `http://host:port` as this process reaches the store. */
  readonly endpoint: string;
  /** `http://host:port` as those reach it who are given a signed URL. */
  readonly publicEndpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** How long to wait for a store that is not there yet; 0 tries once. */
  readonly startupTimeoutMs: number;
}

const PROBE_INTERVAL_MS = 500;
/** What is waited for room with is tried more often than that: a store that nobody has found full for so long counts as having room. */
const FULL_REMEMBERED_MS = 60_000;
/** Nothing has this key: that the store says so is the answer. */
const CHECKED_KEY = 'readiness';
/** The longest time that a signature version 4 can be valid. */
const MAX_PRESIGN_SECONDS = 7 * 24 * 3600;

/**
 * The object store over the S3 protocol. Calls that may be repeated are, when the network fails. Errors of every method, besides those it names:
 * UnavailableError, StoreAccessDeniedError, StoreError.
 */
export class S3ObjectStore implements ObjectStore {
  private full: { readonly error: StoreFullError; readonly bytes: number; readonly atMs: number } | null = null;

  private constructor(
    private readonly client: Client,
    /** Never connects: it only signs, for the address that clients know. */
    private readonly signer: Client,
    private readonly options: S3Options,
  ) {}

  /**
   * Waits until the store answers; whether the bucket exists does not matter yet.
   * @throws UnavailableError naming the endpoint when it does not in time, StoreAccessDeniedError when it refuses the keys
   */
  static async connect(options: S3Options, logger: Logger): Promise<S3ObjectStore> {
    const store = new S3ObjectStore(
      clientFor(options.endpoint, 'S3_ENDPOINT', options),
      clientFor(options.publicEndpoint, 'S3_PUBLIC_ENDPOINT', options),
      options,
    );
    await store.waitUntilThere(logger);
    return store;
  }

  async ensureBucket(): Promise<void> {
    const { bucket, region } = this.options;
    await this.call('creation', undefined, async () => {
      if (await this.client.bucketExists(bucket)) return;
      try {
        await this.client.makeBucket(bucket, region);
      } catch (error) {
        // Another process may have been faster; stores tell that in different ways.
        if (!(await this.client.bucketExists(bucket))) throw error;
      }
    });
  }

  /** Sends what is large in parts: the SDK hashes what it sends at once in one go, and nothing else runs in this thread meanwhile. */
  async put(key: string, bytes: Uint8Array, contentType: string, onPart?: () => void): Promise<void> {
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const body = () => (whole.length > PART_BYTES ? parts(whole, onPart) : whole);
    await this.write('upload', key, whole.length, () =>
      this.client.putObject(this.options.bucket, key, body(), whole.length, { 'Content-Type': contentType }),
    );
  }

  async get(key: string, onPart?: () => void): Promise<Buffer> {
    return this.call('download', key, async () => joined(await this.client.getObject(this.options.bucket, key), onPart));
  }

  /** Only opening the stream is repeated: an error in the middle reaches the reader. */
  async stream(key: string): Promise<Readable> {
    return this.call('download', key, () => this.client.getObject(this.options.bucket, key));
  }

  async stat(key: string): Promise<{ readonly bytes: number } | null> {
    try {
      const { size } = await this.call('look-up', key, () => this.client.statObject(this.options.bucket, key));
      return { bytes: size };
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return null;
      throw error;
    }
  }

  async copy(fromKey: string, toKey: string): Promise<void> {
    const { bucket } = this.options;
    await this.call('copy', fromKey, () => this.client.copyObject(bucket, toKey, `/${bucket}/${fromKey}`));
  }

  async check(): Promise<void> {
    await this.stat(CHECKED_KEY);
    if (this.full !== null && performance.now() - this.full.atMs < FULL_REMEMBERED_MS) throw this.full.error;
  }

  async remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const failures = await this.call('removal', undefined, () => this.client.removeObjects(this.options.bucket, [...keys]));
    const [first] = failures.flatMap((failure) => failure?.Error ?? []);
    if (first === undefined) return;
    throw new StoreError(
      `${failures.length} of ${keys.length} objects could not be removed; the first is "${first.Key}": ${first.Code} ${first.Message}`,
    );
  }

  async presignPut(key: string, expiresInSeconds: number): Promise<string> {
    const expires = checkExpiry(expiresInSeconds);
    return this.call('signing', key, () => this.signer.presignedPutObject(this.options.bucket, key, expires));
  }

  async presignGet(key: string, expiresInSeconds: number, fileName?: string): Promise<string> {
    const expires = checkExpiry(expiresInSeconds);
    const headers = fileName === undefined ? {} : { 'response-content-disposition': contentDisposition(fileName) };
    return this.call('signing', key, () => this.signer.presignedGetObject(this.options.bucket, key, expires, headers));
  }

  private async waitUntilThere(logger: Logger): Promise<void> {
    const { endpoint, bucket, startupTimeoutMs } = this.options;
    const deadline = Date.now() + startupTimeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.client.bucketExists(bucket);
        return;
      } catch (thrown) {
        const error = coerceError(thrown);
        if (!isTransient(error)) throw translateError(error, this.operation('look-up'));
        if (Date.now() + PROBE_INTERVAL_MS >= deadline) throw notThere(this.options, error);
        if (attempt % 10 === 1) logger.warn({ endpoint, cause: error.message }, 'waiting for the object store');
        await delay(PROBE_INTERVAL_MS);
      }
    }
  }

  private async call<T>(what: string, key: string | undefined, action: () => Promise<T>): Promise<T> {
    try {
      return await withRetries(DEFAULT_RETRY, isTransient, action);
    } catch (thrown) {
      throw translateError(thrown, this.operation(what, key));
    }
  }

  /** Tells a store that has no room from one that is away, and remembers it. */
  private async write(what: string, key: string, bytes: number, action: () => Promise<unknown>): Promise<void> {
    try {
      await this.call(what, key, action);
      // What is small may still find room where something large did not.
      if (bytes >= (this.full?.bytes ?? 0)) this.full = null;
    } catch (thrown) {
      const error = coerceError(thrown);
      const busy = error instanceof UnavailableError && error.cause instanceof Error && isBusy(error.cause);
      const found = busy && (await this.answers()) ? refusesWrites(this.operation(what, key), bytes, coerceError(error.cause)) : error;
      if (found instanceof StoreFullError) {
        this.full = { error: found, bytes, atMs: performance.now() };
        if (bytes > PART_BYTES) await this.dropParts(key);
      }
      throw found;
    }
  }

  /** Parts that did find room keep it from others, and from whoever makes room. Best effort: the janitor removes what stays. */
  private async dropParts(key: string): Promise<void> {
    const { bucket } = this.options;
    try {
      const uploadId = await this.client.findUploadId(bucket, key);
      if (uploadId !== undefined) await this.client.abortMultipartUpload(bucket, key, uploadId);
    } catch {
      // A store without any room may not even note that something goes.
    }
  }

  private async answers(): Promise<boolean> {
    return await this.stat(CHECKED_KEY).then(
      () => true,
      () => false,
    );
  }

  private operation(what: string, key?: string): StoreOperation {
    const { endpoint, bucket } = this.options;
    return { what, endpoint, bucket, ...(key === undefined ? {} : { key }) };
  }
}

export function clientFor(endpoint: string, variable: string, { region, accessKey, secretKey }: S3Options): Client {
  const url = parseEndpoint(endpoint, variable);
  const secure = url.protocol === 'https:';
  const { transport, agent } = createTransport(secure);
  return new Client({
    endPoint: url.hostname,
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    useSSL: secure,
    // Given, so that no request is spent on finding it out, and signing needs no connection at all.
    region,
    accessKey,
    secretKey,
    pathStyle: true,
    partSize: PART_BYTES,
    transport,
    transportAgent: agent,
    retryOptions: { disableRetry: true },
  });
}

function parseEndpoint(endpoint: string, variable: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '') return url;
  throw new InvalidInputError(
    `${variable}="${endpoint}" is not the address of an object store: expected http://host:port or https://host:port, without a path.`,
    [{ field: variable, message: 'expected http://host:port' }],
  );
}

function checkExpiry(seconds: number): number {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_PRESIGN_SECONDS) return seconds;
  throw new InvalidInputError(`A signed URL cannot be valid for ${seconds} s: expected a whole number from 1 to ${MAX_PRESIGN_SECONDS}.`, [
    { field: 'expiresInSeconds', message: `expected 1 to ${MAX_PRESIGN_SECONDS}` },
  ]);
}

function notThere({ endpoint, startupTimeoutMs }: S3Options, cause: Error): UnavailableError {
  return new UnavailableError(
    `The object store at ${endpoint} did not answer within ${startupTimeoutMs} ms (${cause.message}). Start it, or set S3_ENDPOINT to where it is.`,
    { endpoint, startupTimeoutMs },
    { cause },
  );
}
