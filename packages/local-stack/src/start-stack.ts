import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { InvalidInputError } from '@roentgen/domain';
import { locateBinaries, type StackBinaries } from './binaries.js';
import { natsConfiguration, natsPart } from './nats.js';
import { Ownership } from './ownership.js';
import { Part, type PartDefinition } from './part.js';
import { choosePorts, type Ports } from './ports.js';
import { ensureCluster, postgresPart, postgresUrl, removeReusedPid } from './postgres.js';
import { keepSecrets, secretOf, type Secrets } from './secrets.js';
import type { PartName, Stack, StackConnections, StackOptions, StackProcess } from './stack.js';
import { minioPart, weedIdentities, weedPart, weedSockets } from './store.js';
import { Watchdog } from './watchdog.js';

/** Everything that is decided before the first program starts. */
interface Plan {
  readonly folder: string;
  readonly options: StackOptions;
  readonly ports: Ports;
  readonly secrets: Secrets;
  readonly binaries: StackBinaries;
}

function openFolder(options: StackOptions): string {
  if (options.profile === 'ephemeral') return mkdtempSync(join(tmpdir(), 'roentgen-stack-'));
  if (options.dataDirectory === undefined) {
    throw new InvalidInputError('A durable stack needs a data folder.', [
      { field: 'dataDirectory', message: 'is required with profile durable' },
    ]);
  }
  const folder = resolve(options.dataDirectory);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

function secretNames(options: StackOptions): string[] {
  return [
    'postgres',
    'store.accessKey',
    'store.secretKey',
    'worker.accessKey',
    'worker.secretKey',
    ...options.natsUsers.map((user) => `nats.${user.name}`),
  ];
}

function connections({ options, ports, secrets }: Plan): StackConnections {
  const keys = { accessKey: secretOf(secrets, 'store.accessKey'), secretKey: secretOf(secrets, 'store.secretKey') };
  const worker = { accessKey: secretOf(secrets, 'worker.accessKey'), secretKey: secretOf(secrets, 'worker.secretKey') };
  const users = options.natsUsers.map(({ name }) => [name, { user: name, password: secretOf(secrets, `nats.${name}`) }] as const);
  const store =
    options.minioBin === undefined
      ? { ...keys, endpoint: `http://127.0.0.1:${ports.s3}`, worker, kind: 'seaweedfs' as const }
      : { ...keys, endpoint: `http://127.0.0.1:${ports.minio}`, worker: keys, kind: 'minio' as const };
  return {
    postgres: { url: postgresUrl(ports.postgres, options.profile === 'durable' ? secretOf(secrets, 'postgres') : undefined) },
    nats: { url: `nats://127.0.0.1:${ports.nats}`, users: Object.fromEntries(users) },
    store,
  };
}

function subfolder(plan: Plan, name: string): string {
  const path = join(plan.folder, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

function storeDefinition(plan: Plan, store: StackConnections['store'], logPath: string): PartDefinition {
  const { options, ports, binaries } = plan;
  if (options.minioBin !== undefined) {
    const place = { folder: subfolder(plan, 'minio'), logPath, keys: store, port: ports.minio, consolePort: ports.minioConsole };
    return minioPart(options.minioBin, place);
  }
  const identitiesPath = join(plan.folder, 's3.json');
  writeFileSync(identitiesPath, weedIdentities(store, store.worker, options.bucket ?? 'roentgen'), { mode: 0o600 });
  return weedPart(binaries, { folder: subfolder(plan, 'seaweedfs'), logPath, identitiesPath, ports });
}

/** Writes the configuration of all parts and says how each is run. */
function definitions(plan: Plan, { store, nats }: StackConnections): PartDefinition[] {
  const { folder, options, ports, binaries } = plan;
  const durable = options.profile === 'durable';
  const log = (name: PartName) => join(subfolder(plan, 'logs'), `${name}.log`);
  const configPath = join(folder, 'nats.conf');
  const users = options.natsUsers.map((user) => ({ ...user, password: nats.users[user.name]?.password ?? '' }));
  const natsPlace = { port: ports.nats, monitorPort: ports.natsMonitor, folder: subfolder(plan, 'jetstream'), users };
  writeFileSync(configPath, natsConfiguration(natsPlace), { mode: 0o600 });
  return [
    postgresPart(binaries, { folder: join(folder, 'postgres'), port: ports.postgres, logPath: log('postgres'), durable }),
    natsPart(binaries, { monitorPort: ports.natsMonitor, configPath, logPath: log('nats') }),
    storeDefinition(plan, store, log('store')),
  ];
}

function asProcess(part: Part): StackProcess {
  return {
    name: part.name,
    get pid() {
      return part.pid;
    },
    kill: (signal) => part.kill(signal),
    restart: () => part.restart(),
  };
}

/**
 * Starts Postgres, NATS with JetStream and an object store on 127.0.0.1 and returns when all three answer in their protocols.
 *
 * They end with `stop()`, and also when this process dies in any way (a watchdog ends them). What a crash left behind is cleared at the next start.
 *
 * @throws {StackInUseError} when a live process runs a durable stack on the same folder
 * @throws {StackPartError} when a part does not start; what had started is stopped
 * @throws {StackBinaryMissingError} before set-up has run
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const binaries = locateBinaries();
  const folder = openFolder(options);
  const ownership = await Ownership.claim(folder);
  try {
    const secrets = keepSecrets(join(folder, 'secrets.json'), secretNames(options));
    const ports = await choosePorts(join(folder, 'ports.json'), options.ports ?? {});
    return await run({ folder, options, ports, secrets, binaries }, ownership);
  } catch (error) {
    ownership.release();
    if (options.profile === 'ephemeral') rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Starts what is planned. The returned stack holds the claim until it is stopped. */
async function run(plan: Plan, ownership: Ownership): Promise<Stack> {
  const { folder, options, binaries, secrets } = plan;
  const ephemeral = options.profile === 'ephemeral';
  const facts = connections(plan);
  const watchdog = new Watchdog([...weedSockets(plan.ports), ...(ephemeral ? [folder] : [])]);
  const onChange = (part: Part, reason?: string) => {
    const pids = parts.map(({ pid }) => pid).filter((pid) => pid !== undefined);
    watchdog.guard(pids);
    ownership.record(pids);
    if (reason !== undefined) options.onPartExit?.(part.name, reason);
  };
  const parts = definitions(plan, facts).map((definition) => new Part(definition, onChange));
  const stopAll = async () => {
    await Promise.all(parts.map((part) => part.stop()));
    await watchdog.close();
    ownership.release();
  };
  let stopping: Promise<void> | undefined;
  const stop = () => (stopping ??= stopAll());
  try {
    ensureCluster(binaries, join(folder, 'postgres'), ephemeral ? undefined : secretOf(secrets, 'postgres'));
    removeReusedPid(join(folder, 'postgres'));
    await startAll(parts);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...facts, dataDirectory: folder, stop, processes: () => parts.map(asProcess) };
}

/** Waits for every part to be ready or to have failed, so that none is left in between; then reports the first failure. */
async function startAll(parts: readonly Part[]): Promise<void> {
  const results = await Promise.allSettled(parts.map((part) => part.start()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
