export { COORDINATOR_VARIABLES, readConfig, type CoordinatorConfig } from './config.js';
export { Coordinator } from './coordinator.js';
