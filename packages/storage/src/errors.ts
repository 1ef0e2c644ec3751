import { RoentgenError, StoreFullError, UnavailableError, coerceError } from '@roentgen/domain';

/** There is no object with this key. */
export class ObjectNotFoundError extends RoentgenError {
  readonly code = 'OBJECT_NOT_FOUND';
}

/** The store knows us, or does not, and refuses. */
export class StoreAccessDeniedError extends RoentgenError {
  readonly code = 'STORE_ACCESS_DENIED';
}

/** The store answered with an error that none of the rules here is about. */
export class StoreError extends RoentgenError {
  readonly code = 'STORE_ERROR';
}

/** What was being done when the SDK threw. */
export interface StoreOperation {
  readonly what: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly key?: string;
}

const MISSING_OBJECT = ['NoSuchKey', 'NotFound'];
const DENIED = [
  'AccessDenied',
  'SignatureDoesNotMatch',
  'InvalidAccessKeyId',
  'Forbidden',
  'RequestTimeTooSkewed',
  'AuthorizationHeaderMalformed',
];
/** Answers of a store, or a bucket, that has no room: MinIO, Ceph, and others that say it. */
const FULL = ['XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'QuotaExceeded', 'InsufficientCapacity', 'InsufficientStorage'];
/** Answers of a store that is overloaded or not yet up. */
const BUSY = ['SlowDown', 'ServiceUnavailable', 'InternalError', 'RequestTimeout', 'XMinioServerNotInitialized'];
const NETWORK = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
];
/** The SDK turns answers with these statuses into errors without a code. */
const BUSY_STATUS = /Retryable HTTP status: \d{3}/;

const codeOf = (error: Error): string => ('code' in error && typeof error.code === 'string' ? error.code : '');

/** Whether the same call may well work a moment later. */
export function isTransient(error: Error): boolean {
  return NETWORK.includes(codeOf(error)) || BUSY.includes(codeOf(error)) || BUSY_STATUS.test(error.message);
}

/** A store that answers so to a write may well answer to everything else: SeaweedFS has no other word for a full disk. */
export const isBusy = (error: Error): boolean => BUSY.includes(codeOf(error)) || BUSY_STATUS.test(error.message);

/** A write failed, reads work. @param reason what the store said to the write */
export function refusesWrites({ what, endpoint, bucket, key }: StoreOperation, bytes: number, cause: Error): StoreFullError {
  return new StoreFullError(
    `The object store at ${endpoint} answers, but does not take the ${what} of object "${key}" (${bytes} bytes) in bucket "${bucket}": ${cause.message}. Most likely its disk is full: free space there, or make the disk larger. If it is not, the log of the store says what it is.`,
    { endpoint, bucket, key, bytes },
    { cause },
  );
}

/** The SDK's error in our terms. */
export function translateError(thrown: unknown, operation: StoreOperation): Error {
  const error = coerceError(thrown);
  if (error instanceof RoentgenError) return error;
  const { what, endpoint, bucket, key } = operation;
  const details = { endpoint, bucket, key };
  const options = { cause: error };
  const code = codeOf(error);
  const object = key === undefined ? `bucket "${bucket}"` : `object "${key}" in bucket "${bucket}"`;
  if (key !== undefined && MISSING_OBJECT.includes(code))
    return new ObjectNotFoundError(`There is no ${object} at ${endpoint}.`, details, options);
  if (code === 'NoSuchBucket') {
    return new UnavailableError(
      `There is no bucket "${bucket}" at ${endpoint}. Run the gateway's set-up, which creates it, or set S3_BUCKET to one that exists.`,
      details,
      options,
    );
  }
  if (FULL.includes(code)) {
    const fix = 'Free space there, or make the disk (or the quota of the bucket) larger; it goes on by itself then.';
    return new StoreFullError(
      `The object store at ${endpoint} is full: no room for ${what} of ${object} (${code}). ${fix}`,
      details,
      options,
    );
  }
  if (DENIED.includes(code)) {
    const fix = 'Check S3_ACCESS_KEY and S3_SECRET_KEY, what they may do in this bucket, and the clock of this machine.';
    return new StoreAccessDeniedError(`The object store at ${endpoint} refused ${what} of ${object} (${code}). ${fix}`, details, options);
  }
  if (isTransient(error)) {
    const reason = code === '' ? error.message : code;
    return new UnavailableError(
      `The object store at ${endpoint} did not do ${what} of ${object} (${reason}). Is it running, and is S3_ENDPOINT right?`,
      details,
      options,
    );
  }
  return new StoreError(`The object store at ${endpoint} failed ${what} of ${object}: ${code} ${error.message}`, details, options);
}
