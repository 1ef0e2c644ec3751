import type { JanitorFinding } from '@roentgen/domain';
import { objectKeys, parseObjectKey } from '@roentgen/storage';
import { inPass, type Phase } from './janitor-parts.js';
import { toNamed } from './listing.js';

const OBJECTS_AT_ONCE = 100;
/** The store refuses a removal that arrives later; claim_object_keys reckons with 5 minutes. */
const REMOVAL_VALID_SECONDS = 60;

/**
 * Removes what is due. Signed first, then marked, then sent: a process that is stopped anywhere in between and wakes up later holds removals that the
 * store refuses. One that dies leaves REMOVING rows, which the next pass sees through; until then nobody can refer to these objects.
 */
export const removal: Phase = async (parts, pass, after) => {
  const { removals, references, inventory, logger } = parts;
  if (pass.mode === 'DRY_RUN') return { findings: [], after: null };
  const due = await removals.due(pass.projectId, after, OBJECTS_AT_ONCE);
  if (due.length === 0) return { findings: [], after: null };
  const keys = due.map(({ key }) => key);
  const next = { after: keys.at(-1) ?? null };
  // Before they are marked: what is sent late was signed too early.
  const signed = await inventory.signRemovals(keys, REMOVAL_VALID_SECONDS);
  const spared = new Set<string>();
  const marked = new Set(
    await inPass(parts, pass, 'mark_removing', async (tx) => {
      await removals.lockClaims(tx);
      const referenced = await references.referenced(
        keys.flatMap((key) => toNamed(key, parseObjectKey(key))),
        tx,
      );
      for (const key of referenced) spared.add(key);
      await removals.spare(tx, [...spared]);
      return await removals.markRemoving(
        tx,
        keys.filter((key) => !spared.has(key)),
      );
    }),
  );
  const results = await signed.send([...marked]);
  const failed = results.filter(({ failure }) => failure !== null);
  if (failed.length > 0) logger.warn({ passId: pass.passId, failed }, 'objects could not be removed; the next pass tries again');
  const removed = new Set(results.filter(({ failure }) => failure === null).map(({ key }) => key));
  const gone = due.filter(({ key }) => removed.has(key));
  if (gone.length > 0) {
    const bytes = gone.reduce((sum, object) => sum + (object.bytes ?? 0), 0);
    logger.info({ passId: pass.passId, bytes, objects: gone.map(({ key, kind }) => ({ key, kind })) }, 'objects removed');
  }
  const findings = gone.map(({ key, kind, bytes, reason }): JanitorFinding => ({ key, kind, bytes, reason, action: 'REMOVED' }));
  return { findings, ...next, write: (tx) => removals.markRemoved(tx, [...removed]) };
};

/** Uploads in parts that were begun long ago and never completed: they take room, and no listing shows them. */
export const incompleteUploads: Phase = async (parts, pass) => {
  const { inventory, options, clock, logger } = parts;
  const prefix = pass.projectId === null ? '' : objectKeys.projectPrefix(pass.projectId);
  const before = clock.now().getTime() - options.graceMs;
  const old = (await inventory.incompleteUploads(prefix)).filter(({ startedAt }) => Date.parse(startedAt) <= before);
  if (pass.mode === 'DELETE') {
    for (const upload of old) await inventory.abortUpload(upload);
    if (old.length > 0) logger.info({ passId: pass.passId, uploads: old }, 'incomplete uploads given up');
  }
  const action = pass.mode === 'DELETE' ? 'REMOVED' : 'REMOVE';
  const findings = old.map(({ key, storeUploadId, startedAt }): JanitorFinding => ({
    key: `${key}?uploadId=${storeUploadId}`,
    kind: 'INCOMPLETE_UPLOAD',
    action,
    bytes: null,
    reason: `an upload in parts that was begun ${startedAt} and never completed`,
  }));
  return { findings, after: null };
};
