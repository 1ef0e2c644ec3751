import type { StackBinaries } from './binaries.js';
import { answersOk } from './http.js';
import type { PartDefinition } from './part.js';
import type { NatsUser } from './stack.js';

/** Room for a 2,000 KiB frame of gradients; the default is 1 MiB. */
const MAX_PAYLOAD_BYTES = 2 * 1024 * 1024;

export interface NatsPlace {
  readonly port: number;
  readonly monitorPort: number;
  readonly folder: string;
  readonly users: ReadonlyArray<NatsUser & { readonly password: string }>;
}

/** Configuration of the server. Its format takes JSON as it is. */
export function natsConfiguration(place: NatsPlace): string {
  const users = place.users.map(({ name, password, permissions }) => ({
    user: name,
    password,
    ...(permissions === undefined
      ? {}
      : { permissions: { publish: { allow: permissions.publish }, subscribe: { allow: permissions.subscribe } } }),
  }));
  const configuration = {
    server_name: 'local',
    host: '127.0.0.1',
    port: place.port,
    http: `127.0.0.1:${place.monitorPort}`,
    max_payload: MAX_PAYLOAD_BYTES,
    jetstream: { store_dir: place.folder },
    authorization: { users },
  };
  return `${JSON.stringify(configuration, null, 2)}\n`;
}

export function natsPart(
  binaries: StackBinaries,
  place: Pick<NatsPlace, 'monitorPort'> & { configPath: string; logPath: string },
): PartDefinition {
  return {
    name: 'nats',
    command: binaries.natsServer,
    args: ['-c', place.configPath],
    logPath: place.logPath,
    stopSignal: 'SIGINT',
    // Healthy only when JetStream has recovered its streams.
    probe: () => answersOk(`http://127.0.0.1:${place.monitorPort}/healthz`),
  };
}
