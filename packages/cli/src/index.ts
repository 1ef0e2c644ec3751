export { EXIT } from './exit-codes.js';
export { type CliHost, runCli } from './run-cli.js';
export { type Keys, NATS_USERS, type Parts, serviceEnvironment } from './up/parts.js';
export { runSetup, type SetupReport } from './up/installation.js';
export { type ReadyLine, REPOSITORY_ROOT, Service, type ServiceDefinition, ServiceStartError } from './up/service.js';
