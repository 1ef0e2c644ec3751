export { WORKER_VARIABLES, computeEnvironment, readWorkerConfig } from './config.js';
export type { DevicePreference, WorkerConfig } from './config.js';
export { Supervisor } from './supervisor/supervisor.js';
export type { SupervisorOptions } from './supervisor/supervisor.js';
