import { hostname } from 'node:os';
import { z } from 'zod';
import {
  LOG_VARIABLES,
  NATS_VARIABLES,
  STARTUP_VARIABLES,
  STORE_VARIABLES,
  TRACING_VARIABLES,
  integer,
  natsConfig,
  oneOf,
  optionalText,
  portOrOff,
  readVariables,
  storeConfig,
  tracingEndpoint,
  type NatsConfig,
  type StoreConfig,
  type ValuesOf,
} from '@roentgen/config';
import { isId, newId, parseId, type SelftestLevel, type WorkerId } from '@roentgen/domain';
import type { LogLevel } from '@roentgen/logger';
import type { HealthAddress } from '@roentgen/telemetry';
import { tensorflowEnvironment, type TensorFlowSettings } from './tensorflow-environment.js';

/** What the worker reads from its environment, besides the shared variables of NATS, the object store, the log and the start. */
export const WORKER_VARIABLES = {
  WORKER_NAME: optionalText('name that people see, 100 characters at most (empty: host name and the end of the worker id)', ''),
  WORKER_ID: {
    schema: z
      .string()
      .optional()
      .refine((id) => id === undefined || isId('wkr', id), 'must be wkr_ followed by 32 hex digits'),
    description: 'id that is kept over restarts (empty: a new one per start)',
  },
  WORKER_DEVICE: oneOf('where TensorFlow computes; auto takes a GPU where one is visible', ['auto', 'cpu', 'cuda'], 'auto'),
  WORKER_GPU: {
    schema: z
      .string()
      .default('')
      .refine(
        (gpu) => /^(\d+|(GPU|MIG)-[-\w]+)?$/.test(gpu),
        'must be one index or one UUID as nvidia-smi -L lists them: a worker uses one GPU',
      ),
    description: 'the one GPU to use, index or UUID (empty: the first of CUDA_VISIBLE_DEVICES)',
  },
  WORKER_INTRA_OP_THREADS: integer("threads within one operation; 0 is TensorFlow's choice", 0, { min: 0, max: 1024 }),
  WORKER_INTER_OP_THREADS: integer("operations at the same time; 0 is TensorFlow's choice", 0, { min: 0, max: 1024 }),
  WORKER_XLA: oneOf('compile with XLA: for GPUs; ten times slower on a CPU', ['true', 'false'], 'false'),
  WORKER_DETERMINISTIC_OPS: oneOf('only GPU kernels that repeat bit by bit; fails where there is none', ['true', 'false'], 'false'),
  WORKER_MEMORY_BYTES: integer("memory of a training session, bytes; 0: 9/10 of the GPU's, on a CPU half of the machine's", 0, {
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  }),
  WORKER_SELFTEST: oneOf(
    'self-test at the first start on a machine and after each change of it or of the program',
    ['off', 'quick', 'full'],
    'quick',
  ),
  WORKER_SELFTEST_TIMEOUT_MS: integer('after so long the self-test at start begins nothing more; what is left is skipped', 30_000, {
    min: 1_000,
    max: 3_600_000,
  }),
  WORKER_ACCEPT_FAILED_CHECKS: optionalText(
    'failed checks of the self-test with which the worker takes work all the same, separated by commas; all: whatever failed',
    'determinism',
  ),
  WORKER_DECODE_CONCURRENCY: integer('images that are downloaded and decoded at the same time', 4, { min: 1, max: 256 }),
  WORKER_PREFETCH_BATCHES: integer('steps whose images are made ready ahead of the compute', 2, { min: 1, max: 64 }),
  WORKER_CACHE_BYTES: integer('memory for decoded images, bytes; 0 keeps none', 512 * 1024 * 1024, {
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  }),
  WORKER_WEIGHTS_PRIVATE_ADDRESSES: oneOf(
    'whether imports of weights may fetch from private and local addresses; yes lets who may import reach what this machine reaches',
    ['yes', 'no'],
    'no',
  ),
  WORKER_WEIGHTS_MEMORY_BYTES: integer('memory for the process that reads an imported file of weights, bytes', 3 * 1024 ** 3, {
    min: 256 * 1024 ** 2,
    max: Number.MAX_SAFE_INTEGER,
  }),
  WORKER_HEARTBEAT_MS: integer('time between two heartbeats', 1000, { min: 100, max: 60_000 }),
  WORKER_STOP_GRACE_MS: integer('how long a stop may take before the compute process is killed', 60_000, { min: 1000, max: 3_600_000 }),
  WORKER_HEALTH_HOST: optionalText('address for /healthz, /readyz and /metrics; they take no token', '127.0.0.1'),
  WORKER_HEALTH_PORT: portOrOff('port for /healthz, /readyz and /metrics; several workers on one machine need one each'),
  WORKER_LIBTENSORFLOW: optionalText('path of tfjs_binding.node (empty: the one that set-up made)', ''),
} as const;

const VARIABLES = {
  ...WORKER_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  ...LOG_VARIABLES,
  ...STARTUP_VARIABLES,
  ...TRACING_VARIABLES,
} as const;

export type DevicePreference = TensorFlowSettings['device'];

/** For imports of weights. */
export interface WeightsImportConfig {
  readonly privateAddresses: boolean;
  readonly memoryBytes: number;
  /** All that the process which reads a file inherits: where Node's own libraries are, on a machine that lacks them. */
  readonly environment: Readonly<Record<string, string>>;
  /** This process's own, of which pip is given its settings. */
  readonly fetchEnvironment: Readonly<Record<string, string>>;
}

/** Plain data: it is also given to the networking thread. */
export interface WorkerConfig extends TensorFlowSettings {
  readonly workerId: WorkerId;
  readonly name: string;
  /** Null: where set-up put it. */
  readonly libtensorflowPath: string | null;
  /** 0: a share of what the device has. */
  readonly memoryBytes: number;
  readonly selftest: 'off' | SelftestLevel;
  readonly selftestTimeoutMs: number;
  /** Names of checks, or `all`. */
  readonly acceptFailedChecks: readonly string[];
  readonly decodeConcurrency: number;
  readonly prefetchBatches: number;
  readonly cacheBytes: number;
  readonly weights: WeightsImportConfig;
  readonly heartbeatMs: number;
  readonly stopGraceMs: number;
  readonly nats: NatsConfig;
  readonly store: StoreConfig;
  readonly logLevel: LogLevel;
  /** Null: health and metrics are not served. */
  readonly health: HealthAddress | null;
  /** Address of a collector; null: nothing is traced. */
  readonly tracesTo: string | null;
  readonly startupTimeoutMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws ConfigError listing every problem */
export function readWorkerConfig(environment: Environment = process.env): WorkerConfig {
  const v = readVariables(VARIABLES, environment);
  const workerId = v.WORKER_ID === undefined ? newId('wkr') : parseId('wkr', v.WORKER_ID, 'WORKER_ID');
  return {
    workerId,
    name: (v.WORKER_NAME === '' ? `${hostname()}-${workerId.slice(-6)}` : v.WORKER_NAME).slice(0, 100),
    ...selftestSettings(v),
    memoryBytes: v.WORKER_MEMORY_BYTES,
    selftest: v.WORKER_SELFTEST,
    selftestTimeoutMs: v.WORKER_SELFTEST_TIMEOUT_MS,
    acceptFailedChecks: v.WORKER_ACCEPT_FAILED_CHECKS.split(',').map((name) => name.trim()),
    decodeConcurrency: v.WORKER_DECODE_CONCURRENCY,
    prefetchBatches: v.WORKER_PREFETCH_BATCHES,
    cacheBytes: v.WORKER_CACHE_BYTES,
    weights: {
      privateAddresses: v.WORKER_WEIGHTS_PRIVATE_ADDRESSES === 'yes',
      memoryBytes: v.WORKER_WEIGHTS_MEMORY_BYTES,
      environment: environment['LD_LIBRARY_PATH'] === undefined ? {} : { LD_LIBRARY_PATH: environment['LD_LIBRARY_PATH'] },
      fetchEnvironment: defined(environment),
    },
    heartbeatMs: v.WORKER_HEARTBEAT_MS,
    stopGraceMs: v.WORKER_STOP_GRACE_MS,
    nats: natsConfig(v),
    store: storeConfig(v),
    logLevel: v.LOG_LEVEL,
    health: v.WORKER_HEALTH_PORT === null ? null : { host: v.WORKER_HEALTH_HOST, port: v.WORKER_HEALTH_PORT },
    tracesTo: tracingEndpoint(v),
    startupTimeoutMs: v.STARTUP_TIMEOUT_MS,
  };
}

/**
 * The environment of the compute process. TensorFlow and libuv read theirs once, when they are loaded, so it has to be set from outside.
 * The worker's id is settled here: a restarted compute process is the same worker, and its first heartbeat tells that it holds nothing any more.
 * @param cudaDirectory folder with libdevice and ptxas of a CUDA build
 */
export function computeEnvironment(
  config: WorkerConfig,
  environment: Environment = process.env,
  cudaDirectory: string | null = null,
): Record<string, string> {
  return {
    ...defined(environment),
    WORKER_ID: config.workerId,
    // Decoding runs on libuv's threads, four by default.
    UV_THREADPOOL_SIZE: String(Math.max(4, config.decodeConcurrency)),
    ...tensorflowEnvironment(config, environment, cudaDirectory),
  };
}

function defined(environment: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** The settings of a worker that its self-test shares; a broker and a store need not be there. */
export type SelftestSettings = TensorFlowSettings & Pick<WorkerConfig, 'libtensorflowPath'>;

const SELFTEST_VARIABLES = {
  WORKER_DEVICE: WORKER_VARIABLES.WORKER_DEVICE,
  WORKER_GPU: WORKER_VARIABLES.WORKER_GPU,
  WORKER_INTRA_OP_THREADS: WORKER_VARIABLES.WORKER_INTRA_OP_THREADS,
  WORKER_INTER_OP_THREADS: WORKER_VARIABLES.WORKER_INTER_OP_THREADS,
  WORKER_XLA: WORKER_VARIABLES.WORKER_XLA,
  WORKER_DETERMINISTIC_OPS: WORKER_VARIABLES.WORKER_DETERMINISTIC_OPS,
  WORKER_LIBTENSORFLOW: WORKER_VARIABLES.WORKER_LIBTENSORFLOW,
} as const;

/** @throws ConfigError listing every problem */
export function readSelftestSettings(environment: Environment = process.env): SelftestSettings {
  return selftestSettings(readVariables(SELFTEST_VARIABLES, environment));
}

function selftestSettings(v: ValuesOf<typeof SELFTEST_VARIABLES>): SelftestSettings {
  return {
    device: v.WORKER_DEVICE,
    gpu: v.WORKER_GPU === '' ? null : v.WORKER_GPU,
    intraOpThreads: v.WORKER_INTRA_OP_THREADS,
    interOpThreads: v.WORKER_INTER_OP_THREADS,
    xla: v.WORKER_XLA === 'true',
    deterministicOps: v.WORKER_DETERMINISTIC_OPS === 'true',
    libtensorflowPath: v.WORKER_LIBTENSORFLOW === '' ? null : v.WORKER_LIBTENSORFLOW,
  };
}
