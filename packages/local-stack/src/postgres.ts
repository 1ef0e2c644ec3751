import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { StackBinaries } from './binaries.js';
import { StackPartError } from './errors.js';
import type { PartDefinition } from './part.js';

const SUPERUSER = 'postgres';
const PROTOCOL_3_0 = 196_608;
const PROBE_TIMEOUT_MS = 2_000;

/** Postgres refuses to run as root; a user namespace gives it another user id without an account on the machine and under any folder's rights. */
const NOT_ROOT = ['unshare', '--user', '--map-user=65534', '--map-group=65534'];

/** The startup message of the wire protocol: length, version, name and value pairs, each ending in a zero byte. */
export function startupMessage(user: string, database: string): Buffer {
  const pairs = Buffer.from(`user\0${user}\0database\0${database}\0\0`, 'utf8');
  const message = Buffer.alloc(8 + pairs.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(PROTOCOL_3_0, 4);
  pairs.copy(message, 8);
  return message;
}

/** Whether the server takes connections: it asks for authentication (`R`); while it starts or recovers it answers with an error (`E`). */
export function probePostgres(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const answer = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => answer(false));
    socket.once('error', () => answer(false));
    socket.once('close', () => answer(false));
    socket.once('connect', () => socket.write(startupMessage(SUPERUSER, SUPERUSER)));
    socket.once('data', (data) => answer(data.toString('latin1', 0, 1) === 'R'));
  });
}

/** How programs of Postgres are called by this user. */
export function asOrdinaryUser(program: string, args: readonly string[], uid = process.getuid?.()): { command: string; args: string[] } {
  if (uid !== 0) return { command: program, args: [...args] };
  const [command = '', ...prefix] = NOT_ROOT;
  return { command, args: [...prefix, program, ...args] };
}

function run(program: string, args: readonly string[], what: string): void {
  const call = asOrdinaryUser(program, args);
  const { status, stderr, error } = spawnSync(call.command, call.args, { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim();
  const hint =
    process.getuid?.() === 0
      ? ' Postgres does not run as root: where user namespaces are forbidden (unshare fails), start as an ordinary user.'
      : '';
  throw new StackPartError(`postgres: ${what} failed: ${reason}.${hint}`, { part: 'postgres', program });
}

/** Creates the database cluster, complete or not at all. `password` makes it ask for one (SCRAM), else it trusts every local connection. */
export function ensureCluster(binaries: StackBinaries, folder: string, password: string | undefined): void {
  if (existsSync(join(folder, 'PG_VERSION'))) return;
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  const passwordFile = `${draft}.password`;
  if (password !== undefined) writeFileSync(passwordFile, password, { mode: 0o600 });
  const auth = password === undefined ? ['--auth=trust', '--no-sync'] : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  try {
    run(binaries.initdb, ['-D', draft, '-U', SUPERUSER, '-E', 'UTF8', '--locale=C', ...auth], 'initdb');
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(draft, folder);
}

/**
 * Removes a `postmaster.pid` whose process id belongs to some other program by now, as after a crash of the machine or in a restarted container:
 * Postgres only looks whether the id is alive and would refuse to start. One that names nobody is left: Postgres checks such a one better itself.
 */
export function removeReusedPid(folder: string): void {
  const path = join(folder, 'postmaster.pid');
  if (!existsSync(path)) return;
  const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
  const commandPath = `/proc/${pid}/cmdline`;
  if (existsSync(commandPath) && !readFileSync(commandPath, 'utf8').includes(folder)) rmSync(path);
}

export function postgresUrl(port: number, password: string | undefined): string {
  return `postgres://${SUPERUSER}${password === undefined ? '' : `:${password}`}@127.0.0.1:${port}/${SUPERUSER}`;
}

export interface PostgresPlace {
  readonly folder: string;
  readonly port: number;
  readonly logPath: string;
  readonly durable: boolean;
}

/** Data loss at a crash is welcome in tests: they are three times faster without waiting for the disk. */
const NOT_DURABLE = ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];

export function postgresPart(binaries: StackBinaries, place: PostgresPlace): PartDefinition {
  const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'max_connections=200', ...(place.durable ? [] : NOT_DURABLE)];
  return {
    name: 'postgres',
    ...asOrdinaryUser(binaries.postgres, ['-D', place.folder, '-p', String(place.port), '-k', '', ...settings]),
    logPath: place.logPath,
    // Fast shutdown: SIGTERM would wait for every client to leave.
    stopSignal: 'SIGINT',
    probe: () => probePostgres(place.port),
  };
}
