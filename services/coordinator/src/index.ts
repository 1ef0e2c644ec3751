export { COORDINATOR_VARIABLES, readConfig, type CoordinatorConfig } from './config.js';
export { Coordinator } from './coordinator.js';
export { Janitor } from './janitor/janitor.js';
export type { JanitorOptions, JanitorParts } from './janitor/janitor-parts.js';
export { Recorder } from './recording/recorder.js';
export { PostgresRunBook } from './runs/postgres-run-book.js';
export type { Outcome, Report, RunBook } from './runs/run-book.js';
export { Scheduler, type SchedulerParts } from './scheduling/scheduler.js';
export { WorkerRegistry } from './scheduling/worker-registry.js';
