import type { RemovalRecord, UploadState } from '@roentgen/database';
import type { JanitorFinding, ListedObject, ProjectId } from '@roentgen/domain';
import type { ObjectName } from '@roentgen/storage';

/** What is known of an object besides what the listing says. */
export interface ObjectFacts {
  /** What its key names; null: it is none of ours. */
  readonly name: ObjectName | null;
  /** Whether a row refers to it; of the files of an upload their `upload` decides. */
  readonly referenced: boolean;
  /** Of files of an upload; null where there is no such upload. */
  readonly upload: UploadState | null;
  /** Of checkpoints: when the attempt that is under way at their run began; null without one. */
  readonly attemptStartedAt: string | null;
  /** What earlier passes noted. */
  readonly removal: RemovalRecord | null;
}

/** A finding, and what is to be noted for it: when it may go. */
export interface Judgement extends JanitorFinding {
  readonly projectId: ProjectId | null;
  /** From now; null: it is noted already, or never goes. */
  readonly noteForMs: number | null;
}

/**
 * Whether an object in the store is one too many. Null: it is as it should be.
 *
 * Nothing is judged by one look: what nobody refers to may be about to be referred to. It is noted, and goes when it is still there, still unreferenced,
 * and has not been written anew for `graceMs`.
 */
export function judgeObject(object: ListedObject, facts: ObjectFacts, nowMs: number, graceMs: number): Judgement | null {
  const { name, removal } = facts;
  const found = { key: object.key, bytes: object.bytes };
  if (name === null) {
    return {
      ...found,
      kind: 'FOREIGN',
      action: 'REPORT',
      projectId: null,
      noteForMs: null,
      reason: 'its key is none that this program uses; remove it yourself, or leave it',
    };
  }
  const projectId = name.kind === 'staging' ? (facts.upload?.projectId ?? null) : name.projectId;
  if (facts.referenced) return null;
  if (removal !== null && removal.state !== 'REMOVED' && removal.kind !== 'ORPHAN') {
    return { ...found, kind: removal.kind, action: 'REMOVE', reason: removal.reason, projectId, noteForMs: null };
  }
  if (name.kind === 'staging' && facts.upload !== null) return judgeUploadedFile(object, facts.upload);
  if (mayBeAboutToBe(object, facts, graceMs)) return null;
  return { ...found, kind: 'ORPHAN', projectId, ...whenItGoes(object, removal, nowMs, graceMs) };
}

/** A file as a client sent it: workers need it until they have looked at it. */
function judgeUploadedFile({ key, bytes }: ListedObject, { uploadId, projectId, status, expired }: UploadState): Judgement | null {
  if ((status === 'OPEN' && !expired) || status === 'INSPECTING') return null;
  const why = expired ? 'was not completed in time' : status === 'READY' ? 'has been inspected' : 'has ended';
  return { key, bytes, kind: 'SPENT_UPLOAD', action: 'REMOVE', reason: `its upload ${uploadId} ${why}`, projectId, noteForMs: 0 };
}

/** A checkpoint that a worker has written: its event is on the way. The hour is for clocks that differ. */
function mayBeAboutToBe({ modifiedAt }: ListedObject, { attemptStartedAt }: ObjectFacts, graceMs: number): boolean {
  return attemptStartedAt !== null && Date.parse(modifiedAt) >= Date.parse(attemptStartedAt) - Math.max(graceMs, 3_600_000);
}

function whenItGoes({ modifiedAt }: ListedObject, removal: RemovalRecord | null, nowMs: number, graceMs: number) {
  const noted = removal !== null && removal.state !== 'REMOVED';
  const notedForMs = noted ? Date.parse(removal.dueAt) : nowMs + graceMs;
  // Written anew since: by somebody who is about to refer to it.
  const dueMs =
    noted && Date.parse(modifiedAt) > Date.parse(removal.notedAt) ? Math.max(notedForMs, Date.parse(modifiedAt) + graceMs) : notedForMs;
  const reason = `no row refers to it (written ${modifiedAt})`;
  const noteForMs = noted ? null : graceMs;
  if (dueMs <= nowMs) return { action: 'REMOVE' as const, reason, noteForMs };
  return { action: 'WAIT' as const, reason: `${reason}; goes after ${new Date(dueMs).toISOString()} unless one does by then`, noteForMs };
}
