import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Parts, REPOSITORY_ROOT, runSetup, Service, serviceEnvironment } from '@roentgen/cli';
import { RoentgenClient } from '@roentgen/client';
import type { StackConnections } from '@roentgen/local-stack';
import type { ServiceRole } from '@roentgen/protocol';

export interface SystemOptions {
  /** Worker processes; default 1. */
  readonly workers?: number;
  /** Settings on top of the defaults, such as COORDINATOR_WORKER_LOST_MS. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A Roentgen of its own for one test file: real processes, own schema, subject prefix and bucket on the shared stack. */
export interface System extends AsyncDisposable {
  /** Address of the API. */
  readonly url: string;
  readonly adminToken: string;
  /** Speaks for the admin token. */
  readonly client: RoentgenClient;
  readonly gateway: Service;
  readonly coordinator: Service;
  readonly workers: readonly Service[];
  /** Where a service's health and metrics are, by its name: where its …_HEALTH_PORT was set. */
  readonly healthUrls: ReadonlyMap<string, string>;
  /** What a service logged so far: one object a line. */
  logOf(name: string): Readonly<Record<string, unknown>>[];
  /** Starts one more and waits until it is ready. */
  addWorker(): Promise<Service>;
  /** Stops every process; idempotent. */
  close(): Promise<void>;
}

/** What makes waiting short where the defaults are made for a slow network, and for machines that nobody has tried yet. */
const QUICK = { COORDINATOR_TICK_MS: '100', WORKER_HEARTBEAT_MS: '250', WORKER_SELFTEST: 'off' };

/** Starts gateway, coordinator and workers and returns when all of them are ready. Processes that end by themselves stay ended. */
export async function startSystem(stack: StackConnections, options: SystemOptions = {}): Promise<System> {
  const parts = ownParts(stack);
  const base = { ...process.env, LOG_LEVEL: 'debug', ...QUICK, ...options.environment };
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-system-'));
  mkdirSync(join(folder, 'logs'));
  const started: Service[] = [];
  const healthUrls = new Map<string, string>();
  const start = async (name: string, role: ServiceRole, settings: Readonly<Record<string, string>> = {}) => {
    const service = new Service(
      {
        name,
        entryPoint: join(REPOSITORY_ROOT, 'services', role, 'src', 'main.ts'),
        environment: { ...serviceEnvironment(role, parts, base), ...settings },
        logPath: join(folder, 'logs', `${name}.log`),
        restarts: false,
      },
      () => undefined,
    );
    started.push(service);
    const ready = await service.start();
    if (typeof ready.healthUrl === 'string') healthUrls.set(name, ready.healthUrl);
    return { service, ready };
  };
  const close = closeOnce(started, folder);
  const addWorker = async (): Promise<Service> => {
    const name = `worker-${started.filter((service) => service.name.startsWith('worker-')).length + 1}`;
    return (await start(name, 'worker', { WORKER_NAME: name })).service;
  };
  try {
    const { adminToken, sessionToken } = await runSetup(serviceEnvironment('gateway', parts, base));
    const [gateway, coordinator, ...workers] = await Promise.all([
      start('gateway', 'gateway', { GATEWAY_PORT: '0' }),
      start('coordinator', 'coordinator'),
      ...Array.from({ length: options.workers ?? 1 }, addWorker),
    ]);
    const url = String(gateway.ready.url);
    const token = adminToken ?? sessionToken;
    return {
      url,
      adminToken: token,
      client: new RoentgenClient({ url, token }),
      gateway: gateway.service,
      coordinator: coordinator.service,
      workers,
      healthUrls,
      logOf: (name) => logLines(join(folder, 'logs', `${name}.log`)),
      addWorker,
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A log has other lines besides: what libraries print. */
function logLines(path: string): Readonly<Record<string, unknown>>[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

/** Names in the stack that no other system uses; the stack's worker identity may only use buckets that start with `test-`. */
function ownParts({ postgres, nats, store }: StackConnections): Parts {
  const name = randomBytes(4).toString('hex');
  const userOf = (role: ServiceRole) => nats.users[role] ?? { user: '', password: '' };
  return {
    postgres: { url: postgres.url, schema: `test_${name}` },
    nats: {
      url: nats.url,
      subjectPrefix: `test-${name}`,
      users: { gateway: userOf('gateway'), coordinator: userOf('coordinator'), worker: userOf('worker') },
    },
    store: { ...store, publicEndpoint: store.endpoint, region: 'us-east-1', bucket: `test-${name}` },
  };
}

/** ROENTGEN_TEST_KEEP_LOGS=1 leaves the services' logs behind and says where. */
function closeOnce(services: readonly Service[], folder: string): () => Promise<void> {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(services.map((service) => service.stop()));
    if (process.env.ROENTGEN_TEST_KEEP_LOGS === '1') console.error(`logs: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  };
  return () => (closing ??= close());
}
