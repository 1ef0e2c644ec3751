import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { StackPartError } from './errors.js';
import type { PartName } from './stack.js';
import { ADMIN_TWIN_OFFSET, WEED_PORT_NAMES } from './store.js';

/** Below the range that Linux takes outgoing ports from (32768–60999), so that no connection of anybody's holds one by chance. */
const FIRST_PORT = 12_000;
const LAST_PORT = 22_000;

const PORT_NAMES = ['postgres', 'nats', 'natsMonitor', 'minio', 'minioConsole', ...WEED_PORT_NAMES] as const;
type PortName = (typeof PORT_NAMES)[number];
export type Ports = Readonly<Record<PortName, number>>;

/** Whether a server could listen on the port of 127.0.0.1 now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

const isUsable = async (name: PortName, port: number): Promise<boolean> =>
  (await isPortFree(port)) && (name !== 'admin' || (await isPortFree(port + ADMIN_TWIN_OFFSET)));

/** The ports that an earlier start wrote down; nothing where there are none that can be read. */
export function readPorts(path: string): Partial<Ports> {
  if (!existsSync(path)) return {};
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof content !== 'object' || content === null) return {};
    return Object.fromEntries(Object.entries(content).filter(([, port]) => Number.isInteger(port) && port > 0 && port < 65_536));
  } catch {
    return {};
  }
}

/** Who asked for which port, by the name used here. */
function fixedPorts({ postgres, nats, store }: Partial<Record<PartName, number>>): Partial<Ports> {
  return {
    ...(postgres === undefined ? {} : { postgres }),
    ...(nats === undefined ? {} : { nats }),
    ...(store === undefined ? {} : { s3: store, minio: store }),
  };
}

/**
 * A port for every listener of the stack: the fixed ones, then those written in `path` while they are free, then free ones chosen at random, so that
 * two stacks that start together seldom meet. The choice is written to `path`.
 *
 * @throws {StackPartError} when a fixed port is taken
 */
export async function choosePorts(
  path: string,
  fixed: Partial<Record<PartName, number>>,
  random: () => number = Math.random,
): Promise<Ports> {
  const last = readPorts(path);
  const wanted = fixedPorts(fixed);
  const taken = new Set(Object.values(wanted));
  const choose = async (name: PortName): Promise<number> => {
    const port = wanted[name];
    if (port !== undefined) {
      if (await isUsable(name, port)) return port;
      throw new StackPartError(`Port ${port} (${name}) is taken by another program. Free it or choose another.`, { name, port });
    }
    for (let candidate = last[name] ?? 0; ; candidate = FIRST_PORT + Math.floor(random() * (LAST_PORT - FIRST_PORT))) {
      if (candidate === 0 || taken.has(candidate) || !(await isUsable(name, candidate))) continue;
      taken.add(candidate);
      return candidate;
    }
  };
  const ports: Partial<Record<PortName, number>> = {};
  for (const name of PORT_NAMES) ports[name] = await choose(name);
  writeFileSync(path, JSON.stringify(ports, null, 2), { mode: 0o600 });
  return ports as Ports;
}
