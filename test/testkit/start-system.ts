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
  /** Coordinator processes; default 1. */
  readonly coordinators?: number;
  /** Database schema, subjects and bucket; default: new ones. */
  readonly parts?: Parts;
  /** Settings on top of the defaults, such as COORDINATOR_WORKER_LOST_MS. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What only the processes of one role are given, such as another address of the store. */
  readonly settings?: Readonly<Partial<Record<ServiceRole, Readonly<Record<string, string>>>>>;
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
  /** What this system stands on, and what is its own there. */
  readonly parts: Parts;
  /** All processes of a role that there ever were. */
  started(role: ServiceRole): readonly Service[];
  /** The processes of a role that run now. */
  running(role: ServiceRole): readonly Service[];
  /** Starts one more and waits until it is ready; a gateway at the address of the first, which has to have ended. */
  addProcess(role: ServiceRole): Promise<Service>;
  addWorker(): Promise<Service>;
  /** Stops every process; idempotent. */
  close(): Promise<void>;
}

/** What makes waiting short where the defaults are made for a slow network, and for machines that nobody has tried yet. */
const QUICK = { COORDINATOR_TICK_MS: '100', WORKER_HEARTBEAT_MS: '250', WORKER_SELFTEST: 'off' };

/** Starts gateway, coordinator and workers and returns when all of them are ready. Processes that end by themselves stay ended. */
export async function startSystem(stack: StackConnections, options: SystemOptions = {}): Promise<System> {
  const parts = options.parts ?? ownParts(stack);
  const base = { ...process.env, LOG_LEVEL: 'debug', ...QUICK, ...options.environment };
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-system-'));
  mkdirSync(join(folder, 'logs'));
  const started: Service[] = [];
  const healthUrls = new Map<string, string>();
  const start = async (role: ServiceRole, settings: Readonly<Record<string, string>> = {}) => {
    const name = nextName(role, started);
    const service = new Service(
      {
        name,
        entryPoint: join(REPOSITORY_ROOT, 'services', role, 'src', 'main.ts'),
        environment: {
          ...serviceEnvironment(role, parts, base),
          ...(role === 'worker' && { WORKER_NAME: name }),
          ...options.settings?.[role],
          ...settings,
        },
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
  const addWorker = async (): Promise<Service> => (await start('worker')).service;
  try {
    const { adminToken, sessionToken } = await runSetup(serviceEnvironment('gateway', parts, base));
    const [gateway, coordinator, ...others] = await Promise.all([
      start('gateway', { GATEWAY_PORT: '0' }),
      start('coordinator'),
      ...Array.from({ length: (options.coordinators ?? 1) - 1 }, () => start('coordinator')),
      ...Array.from({ length: options.workers ?? 1 }, () => start('worker')),
    ]);
    const url = String(gateway.ready.url);
    const ofRole = (role: ServiceRole) => started.filter(({ name }) => name.startsWith(role));
    const running = (role: ServiceRole) => ofRole(role).filter(({ pid }) => pid !== undefined);
    const port = new URL(url).port;
    const token = adminToken ?? sessionToken;
    return {
      url,
      adminToken: token,
      client: new RoentgenClient({ url, token }),
      gateway: gateway.service,
      coordinator: coordinator.service,
      workers: others.map(({ service }) => service).filter(({ name }) => name.startsWith('worker')),
      healthUrls,
      logOf: (name) => logLines(join(folder, 'logs', `${name}.log`)),
      parts,
      started: ofRole,
      running,
      addProcess: async (role) => (await start(role, role === 'gateway' ? { GATEWAY_PORT: port } : {})).service,
      addWorker,
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A log has other lines besides: what libraries print. The last one may be half written. */
function logLines(path: string): Readonly<Record<string, unknown>>[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

/** `gateway`, `gateway-2`, … and `worker-1`, `worker-2`, …; a name stands for one process and is not given again. */
function nextName(role: ServiceRole, started: readonly Service[]): string {
  const nth = started.filter(({ name }) => name.startsWith(role)).length + 1;
  return role !== 'worker' && nth === 1 ? role : `${role}-${nth}`;
}

/** Names in the stack that no other system uses; the stack's worker identity may only use buckets that start with `test-`. */
export function ownParts({ postgres, nats, store }: StackConnections): Parts {
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
