import {
  LOG_VARIABLES,
  NATS_VARIABLES,
  POSTGRES_VARIABLES,
  STARTUP_VARIABLES,
  STORE_VARIABLES,
  TRACING_VARIABLES,
  integer,
  natsConfig,
  optionalText,
  portOrOff,
  postgresConfig,
  readVariables,
  storeConfig,
  tracingEndpoint,
} from '@roentgen/config';

/** Every environment variable that the gateway reads. */
export const GATEWAY_VARIABLES = {
  ...POSTGRES_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  ...LOG_VARIABLES,
  ...STARTUP_VARIABLES,
  ...TRACING_VARIABLES,
  GATEWAY_HOST: optionalText('address to listen on; 0.0.0.0 opens the API to other machines', '127.0.0.1'),
  GATEWAY_PORT: integer('port to listen on; 0 takes any free one', 4400, { min: 0, max: 65_535 }),
  GATEWAY_TOKEN_RECHECK_MS: integer('how long an expired or revoked token can go on listening on a WebSocket', 30_000, {
    min: 100,
    max: 3_600_000,
  }),
  GATEWAY_HEALTH_HOST: optionalText('address for /healthz, /readyz and /metrics; they take no token', '127.0.0.1'),
  GATEWAY_HEALTH_PORT: portOrOff('port for /healthz, /readyz and /metrics'),
} as const;

/** @throws ConfigError listing every problem */
export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  const values = readVariables(GATEWAY_VARIABLES, environment);
  return {
    postgres: postgresConfig(values),
    nats: natsConfig(values),
    store: storeConfig(values),
    logLevel: values.LOG_LEVEL,
    startupTimeoutMs: values.STARTUP_TIMEOUT_MS,
    host: values.GATEWAY_HOST,
    port: values.GATEWAY_PORT,
    health: values.GATEWAY_HEALTH_PORT === null ? null : { host: values.GATEWAY_HEALTH_HOST, port: values.GATEWAY_HEALTH_PORT },
    tracesTo: tracingEndpoint(values),
    tokenRecheckMs: values.GATEWAY_TOKEN_RECHECK_MS,
  };
}

export type GatewayConfig = ReturnType<typeof readConfig>;
