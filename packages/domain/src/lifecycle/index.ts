export { decideCommand } from './commands.js';
export * from './decide.js';
export * from './failure-causes.js';
export * from './retry.js';
export * from './run-lifecycle.js';
