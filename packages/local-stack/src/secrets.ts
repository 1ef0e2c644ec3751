import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** Passwords and keys of one stack by name, such as `nats.gateway`. */
export type Secrets = Readonly<Record<string, string>>;

/** 256 random bits as text that needs no escaping in URLs, JSON or the command line. */
export const randomSecret = (): string => randomBytes(32).toString('base64url');

function readSecrets(path: string): Secrets {
  if (!existsSync(path)) return {};
  const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (typeof content !== 'object' || content === null) return {};
  return Object.fromEntries(Object.entries(content).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** The secrets kept in `path`, with new ones for the names that are not there yet. The file is readable by its owner only and replaced in one step. */
export function keepSecrets(path: string, names: readonly string[]): Secrets {
  const known = readSecrets(path);
  const missing = names.filter((name) => known[name] === undefined);
  if (missing.length === 0) return known;
  const all = { ...known, ...Object.fromEntries(missing.map((name) => [name, randomSecret()])) };
  writeFileSync(`${path}.new`, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return all;
}

/** A secret that `keepSecrets` was asked for. */
export function secretOf(secrets: Secrets, name: string): string {
  const secret = secrets[name];
  if (secret === undefined) throw new TypeError(`no secret named ${name}; there are ${Object.keys(secrets).join(', ')}`);
  return secret;
}
