export * from './environment.js';
export * from './shared.js';
