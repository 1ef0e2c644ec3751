import {
  LOG_VARIABLES,
  NATS_VARIABLES,
  POSTGRES_VARIABLES,
  STARTUP_VARIABLES,
  STORE_VARIABLES,
  TRACING_VARIABLES,
  integer,
  natsConfig,
  oneOf,
  optionalText,
  portOrOff,
  postgresConfig,
  readVariables,
  storeConfig,
  tracingEndpoint,
} from '@roentgen/config';

export const COORDINATOR_VARIABLES = {
  ...POSTGRES_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  ...LOG_VARIABLES,
  ...STARTUP_VARIABLES,
  ...TRACING_VARIABLES,
  COORDINATOR_TICK_MS: integer('pause between two looks at runs and chunks', 500, { min: 10, max: 60_000 }),
  COORDINATOR_LEASE_MS: integer('how long a run stays with a coordinator that has gone silent', 5_000, { min: 500, max: 600_000 }),
  COORDINATOR_WORKER_LOST_MS: integer('silence after which a worker counts as lost', 5_000, { min: 500, max: 600_000 }),
  COORDINATOR_STALLED_MS: integer(
    'how long a worker that is heard may hold an attempt without any progress before the attempt counts as lost; longer than any single call of TensorFlow, such as compiling B7 or one micro-batch of it on a CPU',
    900_000,
    { min: 500, max: 86_400_000 },
  ),
  COORDINATOR_MAX_ATTEMPTS: integer('tries in a row that bring a run no further before it fails', 3, { min: 1, max: 100 }),
  COORDINATOR_WORKER_FAILURES: integer('different runs that fail in a row on one worker before it is set aside', 3, { min: 2, max: 20 }),
  COORDINATOR_MAX_RUNS: integer('runs that one coordinator owns at most', 200, { min: 1, max: 10_000 }),
  COORDINATOR_CHUNK_LEASE_MS: integer('lease of a chunk; prolonged while its worker works on it', 600_000, { min: 1_000, max: 86_400_000 }),
  COORDINATOR_CHUNK_MAX_CLAIMS: integer('tries that a chunk gets before it fails', 3, { min: 1, max: 100 }),
  COORDINATOR_JANITOR: oneOf(
    'what the hourly passes of the janitor do: delete, or only say what they would; unless it is delete, no pass that a user asks for deletes either',
    ['delete', 'dry-run', 'off'],
    'delete',
  ),
  COORDINATOR_JANITOR_INTERVAL_MS: integer('pause between the beginnings of two such passes', 3_600_000, {
    min: 1_000,
    max: 2_592_000_000,
  }),
  COORDINATOR_JANITOR_GRACE_MS: integer('how long an object that no row refers to stays in the store', 86_400_000, {
    min: 60_000,
    max: 2_592_000_000,
  }),
  COORDINATOR_KEEP_LAST_CHECKPOINTS: integer('newest checkpoints of a run that stay', 3, { min: 1, max: 1_000_000 }),
  COORDINATOR_KEEP_BEST_CHECKPOINTS: integer('checkpoints of a run that stay for their low validation loss', 1, { min: 0, max: 1_000_000 }),
  COORDINATOR_HEALTH_HOST: optionalText('address for /healthz, /readyz and /metrics; they take no token', '127.0.0.1'),
  COORDINATOR_HEALTH_PORT: portOrOff('port for /healthz, /readyz and /metrics'),
} as const;

/** @throws ConfigError listing every problem */
export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  const v = readVariables(COORDINATOR_VARIABLES, environment);
  return {
    postgres: postgresConfig(v),
    nats: natsConfig(v),
    store: storeConfig(v),
    logLevel: v.LOG_LEVEL,
    startupTimeoutMs: v.STARTUP_TIMEOUT_MS,
    health: v.COORDINATOR_HEALTH_PORT === null ? null : { host: v.COORDINATOR_HEALTH_HOST, port: v.COORDINATOR_HEALTH_PORT },
    tracesTo: tracingEndpoint(v),
    tickMs: v.COORDINATOR_TICK_MS,
    scheduling: {
      leaseMs: v.COORDINATOR_LEASE_MS,
      workerLostMs: v.COORDINATOR_WORKER_LOST_MS,
      stalledMs: v.COORDINATOR_STALLED_MS,
      maxAttempts: v.COORDINATOR_MAX_ATTEMPTS,
      workerFailures: v.COORDINATOR_WORKER_FAILURES,
      maxRuns: v.COORDINATOR_MAX_RUNS,
    },
    work: {
      chunkLeaseMs: v.COORDINATOR_CHUNK_LEASE_MS,
      chunkMaxClaims: v.COORDINATOR_CHUNK_MAX_CLAIMS,
      workerLostMs: v.COORDINATOR_WORKER_LOST_MS,
    },
    janitor: {
      intervalMs: v.COORDINATOR_JANITOR === 'off' ? 0 : v.COORDINATOR_JANITOR_INTERVAL_MS,
      automaticMode: v.COORDINATOR_JANITOR === 'delete' ? ('DELETE' as const) : ('DRY_RUN' as const),
      graceMs: v.COORDINATOR_JANITOR_GRACE_MS,
      retention: { keepLast: v.COORDINATOR_KEEP_LAST_CHECKPOINTS, keepBest: v.COORDINATOR_KEEP_BEST_CHECKPOINTS },
    },
  };
}

export type CoordinatorConfig = ReturnType<typeof readConfig>;
