export { ObjectNotFoundError, StoreAccessDeniedError, StoreError, isTransient as isTransientStoreError } from './errors.js';
export { objectKeys, parseObjectKey, type ObjectName } from './object-keys.js';
export { S3ObjectInventory } from './s3-object-inventory.js';
export { S3ObjectStore, type S3Options } from './s3-object-store.js';
