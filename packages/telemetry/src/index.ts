export * from './health-server.js';
export * from './metrics.js';
export * from './readiness.js';
export * from './trace.js';
export * from './tracing.js';
export * from './version.js';
