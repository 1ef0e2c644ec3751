export * from './conventions.js';
export * from './errors.js';
export * from './finished-network.js';
export * from './forward.js';
export * from './initialize.js';
export * from './spec.js';
export * from './variants.js';
