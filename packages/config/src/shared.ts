import { z } from 'zod';
import { integer, oneOf, optionalText, readVariables, requiredText, type ValuesOf } from './environment.js';

/** How to reach Postgres. */
export const POSTGRES_VARIABLES = {
  POSTGRES_URL: requiredText('postgres://user:password@host:port/database', { secret: true }),
  POSTGRES_SCHEMA: optionalText('schema that holds the tables', 'public'),
  POSTGRES_POOL_SIZE: integer('connections at most', 10, { min: 1, max: 200 }),
} as const;

/** How to reach NATS. */
export const NATS_VARIABLES = {
  NATS_URL: requiredText('host:port, several separated by commas'),
  NATS_USER: optionalText('user of this service role', ''),
  NATS_PASSWORD: optionalText('password of that user', '', { secret: true }),
  NATS_SUBJECT_PREFIX: optionalText('first token of every subject and stream name; two systems on one broker differ in it', 'roentgen'),
} as const;

/** How to reach the object store. */
export const STORE_VARIABLES = {
  S3_ENDPOINT: requiredText('http://host:port as this process reaches the store'),
  S3_PUBLIC_ENDPOINT: optionalText('http://host:port as clients reach it, for signed URLs (empty: same as S3_ENDPOINT)', ''),
  S3_REGION: optionalText('region name that signatures use', 'us-east-1'),
  S3_BUCKET: optionalText('bucket for everything', 'roentgen'),
  S3_ACCESS_KEY: requiredText('access key', { secret: true }),
  S3_SECRET_KEY: requiredText('secret key', { secret: true }),
} as const;

export const LOG_VARIABLES = {
  LOG_LEVEL: oneOf('least severity that is logged', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
} as const;

/** Where traces go: the variable of the OpenTelemetry specification, which other programs of an installation share. */
export const TRACING_VARIABLES = {
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    schema: z
      .string()
      .default('')
      .refine(
        (url) => url === '' || (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)),
        'must be http://host:port or https://host:port',
      ),
    description: 'http://host:port of an OpenTelemetry collector (OTLP over HTTP) that traces are sent to (empty: none are recorded)',
  },
} as const;

/** How long a service waits at its start for parts that are not there yet. */
export const STARTUP_VARIABLES = {
  STARTUP_TIMEOUT_MS: integer('how long to wait for Postgres, NATS and the store at start', 60_000, { min: 0, max: 3_600_000 }),
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

export const postgresConfig = (v: ValuesOf<typeof POSTGRES_VARIABLES>) => ({
  url: v.POSTGRES_URL,
  schema: v.POSTGRES_SCHEMA,
  poolSize: v.POSTGRES_POOL_SIZE,
});
export const natsConfig = (v: ValuesOf<typeof NATS_VARIABLES>) => ({
  servers: v.NATS_URL.split(',').map((server) => server.trim()),
  user: v.NATS_USER,
  password: v.NATS_PASSWORD,
  subjectPrefix: v.NATS_SUBJECT_PREFIX,
});
export const storeConfig = (v: ValuesOf<typeof STORE_VARIABLES>) => ({
  endpoint: v.S3_ENDPOINT,
  publicEndpoint: v.S3_PUBLIC_ENDPOINT === '' ? v.S3_ENDPOINT : v.S3_PUBLIC_ENDPOINT,
  region: v.S3_REGION,
  bucket: v.S3_BUCKET,
  accessKey: v.S3_ACCESS_KEY,
  secretKey: v.S3_SECRET_KEY,
});

export const tracingEndpoint = (v: ValuesOf<typeof TRACING_VARIABLES>): string | null =>
  v.OTEL_EXPORTER_OTLP_ENDPOINT === '' ? null : v.OTEL_EXPORTER_OTLP_ENDPOINT;

export type PostgresConfig = ReturnType<typeof postgresConfig>;
export type NatsConfig = ReturnType<typeof natsConfig>;
export type StoreConfig = ReturnType<typeof storeConfig>;

/** Where per-user files go that can be made again: `ROENTGEN_CACHE_DIR`, else the platform's cache folder. */
export function cacheDirectory(environment: Environment): string {
  const { ROENTGEN_CACHE_DIR, XDG_CACHE_HOME, HOME } = readVariables(CACHE_VARIABLES, environment);
  if (ROENTGEN_CACHE_DIR !== '') return ROENTGEN_CACHE_DIR;
  return `${XDG_CACHE_HOME === '' ? `${HOME}/.cache` : XDG_CACHE_HOME}/roentgen`;
}

export const CACHE_VARIABLES = {
  ROENTGEN_CACHE_DIR: optionalText('folder for libtensorflow and the local stack', ''),
  XDG_CACHE_HOME: optionalText("the platform's cache folder", ''),
  HOME: optionalText('home folder', '.'),
} as const;
