import {
  LOG_VARIABLES,
  NATS_VARIABLES,
  POSTGRES_VARIABLES,
  STARTUP_VARIABLES,
  STORE_VARIABLES,
  integer,
  natsConfig,
  optionalText,
  postgresConfig,
  readVariables,
  storeConfig,
} from '@roentgen/config';

/** Every environment variable that the gateway reads. */
export const GATEWAY_VARIABLES = {
  ...POSTGRES_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  ...LOG_VARIABLES,
  ...STARTUP_VARIABLES,
  GATEWAY_HOST: optionalText('address to listen on; 0.0.0.0 opens the API to other machines', '127.0.0.1'),
  GATEWAY_PORT: integer('port to listen on; 0 takes any free one', 4400, { min: 0, max: 65_535 }),
  GATEWAY_TOKEN_RECHECK_MS: integer('how long an expired or revoked token can go on listening on a WebSocket', 30_000, {
    min: 100,
    max: 3_600_000,
  }),
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
    tokenRecheckMs: values.GATEWAY_TOKEN_RECHECK_MS,
  };
}

export type GatewayConfig = ReturnType<typeof readConfig>;
