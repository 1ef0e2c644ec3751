import { ROWS_WITH_OBJECTS, type HeldPass, type RowObject, type RowWithObject } from '@roentgen/database';
import type { JanitorFinding } from '@roentgen/domain';
import { objectKeys, parseObjectKey } from '@roentgen/storage';
import type { JanitorParts, Phase } from './janitor-parts.js';
import { toNamed } from './listing.js';

const LOOKS_AT_ONCE = 16;

/** Rows, page after page: is the object of each in the store? One that is not is told, and nothing is done about it: what it was is for a person to find out. */
export const missing: Phase = async (parts, pass, after) => {
  const { references, options } = parts;
  const [kind, afterRow] = placeOf(after);
  const rows = await references.rows(kind, pass.projectId, afterRow, options.pageSize);
  const objects = rows.flatMap((row) => objectsOf(kind, row));
  const gone: JanitorFinding[] = [];
  for (let at = 0; at < objects.length; at += LOOKS_AT_ONCE) {
    const some = objects.slice(at, at + LOOKS_AT_ONCE);
    const there = await Promise.all(some.map(({ key }) => parts.objects.stat(key)));
    gone.push(...some.filter((_, i) => there[i] === null));
  }
  const findings = await stillReferenced(parts, gone);
  if (findings.length > 0) complain(parts, pass, findings);
  const last = rows.length < options.pageSize ? undefined : rows.at(-1)?.id;
  if (last !== undefined) return { findings, after: `${kind}|${last}` };
  const next = ROWS_WITH_OBJECTS[ROWS_WITH_OBJECTS.indexOf(kind) + 1];
  return { findings, after: next === undefined ? null : `${next}|` };
};

function placeOf(after: string): [RowWithObject, string] {
  const [kind, row] = after.split('|');
  return [ROWS_WITH_OBJECTS.find((known) => known === kind) ?? 'image', row ?? ''];
}

function objectsOf(kind: RowWithObject, { id, projectId, sha256, objectKey, bytes }: RowObject): JanitorFinding[] {
  const common = { kind: 'MISSING', action: 'REPORT', reason: `a row refers to it (${kind} ${id}), and it is not in the store` } as const;
  const key = sha256 === null ? objectKey : objectKeys[kind === 'weights' ? 'weights' : 'image'](projectId, sha256);
  if (key === null) return [];
  if (kind !== 'checkpoint') return [{ ...common, key, bytes }];
  return [
    { ...common, key, bytes },
    { ...common, key: objectKeys.checkpointDescription(key), bytes: null },
  ];
}

/** Without those whose row went while it was looked at: a run may have replaced a checkpoint. */
async function stillReferenced({ references }: JanitorParts, gone: readonly JanitorFinding[]): Promise<JanitorFinding[]> {
  if (gone.length === 0) return [];
  const named = gone.flatMap(({ key }) => toNamed(key, parseObjectKey(key)));
  const referenced = await references.referenced(named);
  return gone.filter(({ key }) => referenced.has(key) || parseObjectKey(key) === null);
}

function complain({ logger }: JanitorParts, { passId }: HeldPass, findings: readonly JanitorFinding[]): void {
  logger.error(
    { passId, objects: findings.map(({ key }) => key) },
    'rows refer to objects that are not in the store: restore them from a backup',
  );
}
