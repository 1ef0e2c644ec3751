export { GATEWAY_VARIABLES, readConfig, type GatewayConfig } from './config.js';
export type { GatewayParts } from './context.js';
export { Gateway } from './gateway.js';
export { buildGatewaySchema } from './schema.js';
export { parseSetupArguments, setUp, type SetupOptions, type SetupResult } from './setup.js';
