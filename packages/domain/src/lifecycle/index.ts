export { decideCommand } from './commands.js';
export { decide } from './decide.js';
export * from './failure-causes.js';
export { decideReport, idsToLookUp } from './report.js';
export * from './retry.js';
export * from './run-lifecycle.js';
