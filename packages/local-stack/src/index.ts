export { locateBinaries, locateMinio } from './binaries.js';
export type { StackBinaries } from './binaries.js';
export { StackBinaryMissingError, StackInUseError, StackPartError } from './errors.js';
export type { NatsPermissions, NatsUser, PartName, Stack, StackConnections, StackOptions, StackProcess, StoreKeys } from './stack.js';
export { startStack } from './start-stack.js';
