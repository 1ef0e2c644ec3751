import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StackInUseError } from './errors.js';

const ORPHAN_TIMEOUT_MS = 10_000;

/** A process that cannot be mistaken for a later one with the same id: Linux tells when it started, in clock ticks since boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

/** The identity of a live process; undefined where there is none. A zombie counts as ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : { pid, startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

const isAlive = (process: ProcessIdentity): boolean => identify(process.pid)?.startedAt === process.startedAt;

interface OwnershipRecord {
  readonly owner: ProcessIdentity;
  readonly parts: readonly ProcessIdentity[];
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    typeof value.pid === 'number' &&
    'startedAt' in value &&
    typeof value.startedAt === 'string'
  );
}

/** Content of `owner.json`; one that cannot be read belongs to nobody. */
export function parseOwnership(text: string): OwnershipRecord | undefined {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content !== 'object' || content === null || !('owner' in content) || !isIdentity(content.owner)) return undefined;
    const parts = 'parts' in content && Array.isArray(content.parts) ? content.parts.filter(isIdentity) : [];
    return { owner: content.owner, parts };
  } catch {
    return undefined;
  }
}

/** Ends what a crashed owner left running; its data folder must not be opened by two servers. */
async function endOrphans(orphans: readonly ProcessIdentity[]): Promise<void> {
  const alive = () => orphans.filter(isAlive);
  for (const orphan of alive()) process.kill(orphan.pid, 'SIGINT');
  const deadline = Date.now() + ORPHAN_TIMEOUT_MS;
  while (alive().length > 0 && Date.now() < deadline) await delay(50);
  for (const orphan of alive()) process.kill(orphan.pid, 'SIGKILL');
  while (alive().length > 0) await delay(20);
}

/** The claim of this process to one data folder. */
export class Ownership {
  private released = false;

  private constructor(
    private readonly path: string,
    private readonly self: ProcessIdentity,
  ) {}

  /**
   * Claims the folder. A claim whose owner died is taken over, and what it left running is ended first.
   * @throws {StackInUseError} when a live process owns it
   */
  static async claim(dataDirectory: string): Promise<Ownership> {
    const path = join(dataDirectory, 'owner.json');
    const self = identify(process.pid) ?? { pid: process.pid, startedAt: '' };
    const draft = `${path}.${process.pid}`;
    for (;;) {
      writeFileSync(draft, JSON.stringify({ owner: self, parts: [] }), { mode: 0o600 });
      try {
        // A hard link appears with its content and fails where there is one already: no second claimant can slip in between.
        linkSync(draft, path);
        return new Ownership(path, self);
      } catch (error) {
        if (!existsSync(path)) throw error;
      } finally {
        rmSync(draft, { force: true });
      }
      await removeDeadClaim(dataDirectory, path);
    }
  }

  /** Writes down the parts that run, for the next start after a crash of this process. */
  record(parts: readonly number[]): void {
    if (this.released) return;
    const identities = parts.map(identify).filter((identity) => identity !== undefined);
    writeFileSync(`${this.path}.new`, JSON.stringify({ owner: this.self, parts: identities }), { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }

  /** Gives the folder back. Idempotent: a second call must not remove the claim of the next owner. */
  release(): void {
    if (this.released) return;
    this.released = true;
    rmSync(this.path, { force: true });
  }
}

async function removeDeadClaim(dataDirectory: string, path: string): Promise<void> {
  const claim = existsSync(path) ? parseOwnership(readFileSync(path, 'utf8')) : undefined;
  if (claim !== undefined && isAlive(claim.owner)) {
    throw new StackInUseError(
      `Process ${claim.owner.pid} already runs a stack on ${dataDirectory}: one folder has one stack. Stop that process, or use another data folder.`,
      { pid: claim.owner.pid, dataDirectory },
    );
  }
  await endOrphans(claim?.parts ?? []);
  rmSync(path, { force: true });
}
