import type { HeldPass, NamedObject } from '@roentgen/database';
import type { JanitorFinding, ListedObject } from '@roentgen/domain';
import { objectKeys, parseObjectKey, type ObjectName } from '@roentgen/storage';
import { inPass, type JanitorParts, type Phase } from './janitor-parts.js';
import { judgeObject, type Judgement } from './judge.js';

/**
 * Objects of the store, page after page: is each one that somebody needs? What is not is noted, and goes when its time has come. Where the pass before
 * stopped at what it may not remove, this one goes on: from the first key again it would stop there, too, and never see the rest.
 */
export const listing: Phase = async (parts, pass, after) => {
  const { inventory, options } = parts;
  const prefixes = pass.projectId === null ? [''] : [objectKeys.projectPrefix(pass.projectId), objectKeys.stagingPrefix];
  const place = Math.max(
    0,
    prefixes.findLastIndex((prefix) => after.startsWith(prefix)),
  );
  const from = after === '' && pass.projectId === null ? await parts.passes.leftOffAt() : after;
  const objects = await inventory.list(prefixes[place] ?? '', from, options.pageSize);
  const judgements = (await judgePage(parts, objects)).filter(({ projectId }) => pass.projectId === null || projectId === pass.projectId);
  if (pass.mode === 'DELETE') await note(parts, pass, judgements);
  const last = objects.at(-1)?.key;
  // A page may be short before the end; only an empty one is the end.
  return { findings: judgements.map(toFinding), after: last ?? prefixes[place + 1] ?? null };
};

async function judgePage(parts: JanitorParts, objects: readonly ListedObject[]): Promise<Judgement[]> {
  const { references, removals, options, clock } = parts;
  const named = objects.map((object) => ({ object, name: parseObjectKey(object.key) }));
  const names = named.flatMap(({ name }) => name ?? []);
  const [referenced, uploads, attempts, noted] = await Promise.all([
    references.referenced(named.flatMap(({ object, name }) => toNamed(object.key, name))),
    references.uploads(names.flatMap((name) => (name.kind === 'staging' ? [name.uploadId] : []))),
    references.liveAttempts(names.flatMap((name) => ('runId' in name ? [name.runId] : []))),
    removals.find(objects.map(({ key }) => key)),
  ]);
  const removalOf = new Map(noted.map((removal) => [removal.key, removal]));
  return named.flatMap(({ object, name }) => {
    const facts = {
      name,
      referenced: referenced.has(object.key),
      upload: name?.kind === 'staging' ? (uploads.get(name.uploadId) ?? null) : null,
      attemptStartedAt: name !== null && 'runId' in name ? (attempts.get(name.runId) ?? null) : null,
      removal: removalOf.get(object.key) ?? null,
    };
    return judgeObject(object, facts, clock.now().getTime(), options.graceMs) ?? [];
  });
}

/** As the database knows it; nothing for files of uploads, which no row names. */
export function toNamed(key: string, name: ObjectName | null): NamedObject[] {
  return name === null || name.kind === 'staging' ? [] : [{ ...name, key }];
}

async function note(parts: JanitorParts, pass: HeldPass, judgements: readonly Judgement[]): Promise<void> {
  const byTime = new Map<number, Judgement[]>();
  for (const judgement of judgements) {
    if (judgement.noteForMs !== null) byTime.set(judgement.noteForMs, [...(byTime.get(judgement.noteForMs) ?? []), judgement]);
  }
  if (byTime.size === 0) return;
  await inPass(parts, pass, 'note_orphans', async (tx) => {
    for (const [dueInMs, some] of byTime) await parts.removals.note(tx, pass.passId, some, dueInMs);
  });
}

const toFinding = ({ key, kind, action, bytes, reason }: Judgement): JanitorFinding => ({ key, kind, action, bytes, reason });
