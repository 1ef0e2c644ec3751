import { join } from 'node:path';
import type { StackBinaries } from './binaries.js';
import { answersOk, statusOf } from './http.js';
import type { PartDefinition } from './part.js';
import type { StoreKeys } from './stack.js';

/** Ports of the parts inside `weed mini`, all named: with its defaults two stacks on one machine would meet. */
export interface WeedPorts {
  readonly s3: number;
  readonly s3Grpc: number;
  readonly master: number;
  readonly masterGrpc: number;
  readonly volume: number;
  readonly volumeGrpc: number;
  readonly filer: number;
  readonly filerGrpc: number;
  /** `admin + 10000` must be free too: the worker inside `mini` looks there for the admin server, whatever `-admin.port.grpc` says. */
  readonly admin: number;
}

export const WEED_PORT_NAMES = ['s3', 's3Grpc', 'master', 'masterGrpc', 'volume', 'volumeGrpc', 'filer', 'filerGrpc', 'admin'] as const;
export const ADMIN_TWIN_OFFSET = 10_000;

/**
 * Identities of the S3 gateway. `Write` includes deleting: SeaweedFS has no finer action; that only the janitor deletes is kept by our own code.
 */
export function weedIdentities(admin: StoreKeys, worker: StoreKeys, bucket: string): string {
  const identity = (name: string, keys: StoreKeys, actions: readonly string[]) => ({
    name,
    credentials: [{ accessKey: keys.accessKey, secretKey: keys.secretKey }],
    actions,
  });
  const workerActions = ['Read', 'Write', 'List'].map((action) => `${action}:${bucket}`);
  const identities = [identity('service', admin, ['Admin', 'Read', 'Write', 'List', 'Tagging']), identity('worker', worker, workerActions)];
  return `${JSON.stringify({ identities }, null, 2)}\n`;
}

export interface StorePlace {
  readonly folder: string;
  readonly logPath: string;
}

/**
 * Stored objects need a volume server that has registered with the master, the filer and the S3 gateway. The S3 port opens before that, so each
 * is asked; an anonymous request to the gateway is refused (403), which is an answer.
 */
async function probeWeed(ports: WeedPorts): Promise<boolean> {
  if (!(await answersOk(`http://127.0.0.1:${ports.master}/dir/assign`))) return false;
  if (!(await answersOk(`http://127.0.0.1:${ports.filer}/?limit=1`))) return false;
  const status = await statusOf(`http://127.0.0.1:${ports.s3}/`);
  return status !== undefined && status < 500;
}

/** Sockets that it puts into /tmp, whatever is set, and does not all remove. */
export function weedSockets(ports: WeedPorts): string[] {
  const grpc = {
    s3: ports.s3Grpc,
    master: ports.masterGrpc,
    volume: ports.volumeGrpc,
    filer: ports.filerGrpc,
    admin: ports.admin + ADMIN_TWIN_OFFSET,
  };
  const names = [`s3-${ports.s3}`, `filer-${ports.filer}`, ...Object.entries(grpc).map(([name, port]) => `${name}-grpc-${port}`)];
  return names.map((name) => `/tmp/seaweedfs-${name}.sock`);
}

export function weedPart(binaries: StackBinaries, place: StorePlace & { identitiesPath: string; ports: WeedPorts }): PartDefinition {
  const { ports } = place;
  const settings = {
    dir: place.folder,
    ip: '127.0.0.1',
    'ip.bind': '127.0.0.1',
    's3.config': place.identitiesPath,
    's3.iam': false,
    's3.port': ports.s3,
    's3.port.grpc': ports.s3Grpc,
    's3.port.iceberg': 0,
    's3.port.lance': 0,
    's3.autoCreateBucket': false,
    'master.port': ports.master,
    'master.port.grpc': ports.masterGrpc,
    'master.telemetry': false,
    // Resuming makes the master a leader some milliseconds too late for the volume server's first heartbeat, and the next one comes after 5 to 15 s.
    // Nothing is lost without it: volumes and keys are told again by the volume server.
    'master.resumeState': false,
    'volume.port': ports.volume,
    'volume.port.grpc': ports.volumeGrpc,
    'volume.preStopSeconds': 0,
    'filer.port': ports.filer,
    'filer.port.grpc': ports.filerGrpc,
    'admin.port': ports.admin,
    'admin.dataDir': join(place.folder, 'admin'),
    'admin.ui': false,
    webdav: false,
  };
  return {
    name: 'store',
    command: binaries.weed,
    args: ['-logtostderr=true', 'mini', ...Object.entries(settings).map(([name, value]) => `-${name}=${value}`)],
    env: { HOME: place.folder },
    logPath: place.logPath,
    stopSignal: 'SIGINT',
    probe: () => probeWeed(ports),
  };
}

export function minioPart(minioBin: string, place: StorePlace & { keys: StoreKeys; port: number; consolePort: number }): PartDefinition {
  return {
    name: 'store',
    command: minioBin,
    args: ['server', place.folder, '--address', `127.0.0.1:${place.port}`, '--console-address', `127.0.0.1:${place.consolePort}`],
    env: { HOME: place.folder, MINIO_ROOT_USER: place.keys.accessKey, MINIO_ROOT_PASSWORD: place.keys.secretKey, MINIO_BROWSER: 'off' },
    logPath: place.logPath,
    stopSignal: 'SIGINT',
    probe: () => answersOk(`http://127.0.0.1:${place.port}/minio/health/ready`),
  };
}
