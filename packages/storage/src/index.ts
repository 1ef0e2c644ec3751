export { ObjectNotFoundError, StoreAccessDeniedError, StoreError } from './errors.js';
export { objectKeys } from './object-keys.js';
export { S3ObjectStore, type S3Options } from './s3-object-store.js';
