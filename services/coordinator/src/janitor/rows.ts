import type { NewRemoval, StoredCheckpoint, UnusedImage } from '@roentgen/database';
import { isId, type JanitorFinding, type RunId } from '@roentgen/domain';
import { objectKeys, parseObjectKey } from '@roentgen/storage';
import { inPass, inPassOrDry, type JanitorParts, type Phase, type StepResult } from './janitor-parts.js';
import { spareCheckpoints } from './retention.js';

/** Runs looked at in one step: each is a transaction of its own, which its workers wait for. */
const RUNS_AT_ONCE = 50;
const UPLOADS_AT_ONCE = 500;
/** In a dry run all that would expire does so in the transaction that is undone. */
const UPLOADS_OF_A_DRY_RUN = 10_000;

const toFinding = ({ key, kind, bytes, reason }: NewRemoval): JanitorFinding => ({ key, kind, bytes, reason, action: 'REMOVE' });

/** Checkpoints that their runs can spare: the row goes, and with it in one transaction comes the note that its objects are to go. */
export const retention: Phase = async (parts, pass, after) => {
  const afterRun = isId('run', after) ? after : null;
  const runs = await parts.work.runsWithCheckpoints(pass.projectId, parts.options.retention.keepLast, afterRun, RUNS_AT_ONCE);
  const findings: JanitorFinding[] = [];
  for (const runId of runs) {
    const removals = await inPassOrDry(parts, pass, 'retain_checkpoints', async (tx) => {
      const found = spareCheckpoints(ours(await parts.work.lockCheckpoints(tx, runId), runId), parts.options.retention);
      const removed: StoredCheckpoint[] = [];
      for (const checkpoint of found) if (await parts.work.removeCheckpoint(tx, checkpoint.checkpointId)) removed.push(checkpoint);
      const noted = removed.flatMap((checkpoint) => objectsOf(checkpoint, runId, parts));
      await parts.removals.note(tx, pass.passId, noted, 0);
      return noted;
    });
    findings.push(...removals.map(toFinding));
  }
  return { findings, after: runs.length < RUNS_AT_ONCE ? null : (runs.at(-1) ?? null) };
};

/** A row that names an object which is none of its run's is for a person to look at, not to act on. */
function ours(checkpoints: readonly StoredCheckpoint[], runId: RunId): StoredCheckpoint[] {
  return checkpoints.filter(({ objectKey }) => {
    const name = parseObjectKey(objectKey);
    return name?.kind === 'checkpoint' && name.runId === runId;
  });
}

function objectsOf({ objectKey, step, bytes }: StoredCheckpoint, runId: RunId, { options }: JanitorParts): NewRemoval[] {
  const name = parseObjectKey(objectKey);
  if (name?.kind !== 'checkpoint') return [];
  const { keepLast, keepBest } = options.retention;
  const reason = `checkpoint of step ${step} of ${runId}: not one of the last ${keepLast} or the best ${keepBest}, and nothing else needs it`;
  const common = { projectId: name.projectId, kind: 'SPARE_CHECKPOINT' as const, reason };
  return [
    { ...common, key: objectKey, bytes },
    { ...common, key: objectKeys.checkpointDescription(objectKey), bytes: null },
  ];
}

/** Uploads whose time is over. Their files are found when the store is listed. */
export const uploads: Phase = async (parts, pass) => {
  // A dry run has nothing to change: the files of such uploads count as spent by their time.
  if (pass.mode === 'DRY_RUN') return { findings: [], after: null };
  const expired = await inPass(parts, pass, 'expire_uploads', (tx) => parts.work.expireUploads(tx, pass.projectId, UPLOADS_AT_ONCE));
  if (expired.length > 0) parts.logger.info({ passId: pass.passId, uploads: expired }, 'uploads expired');
  return { findings: [], after: expired.length < UPLOADS_AT_ONCE ? null : 'more' };
};

/** Images that nothing refers to any more. */
export const images: Phase = async (parts, pass, after) => {
  const { pageSize } = parts.options;
  return await inPassOrDry(parts, pass, 'remove_unused_images', async (tx): Promise<StepResult> => {
    if (pass.mode === 'DRY_RUN') await parts.work.expireUploads(tx, pass.projectId, UPLOADS_OF_A_DRY_RUN);
    const unused = await parts.work.unusedImages(tx, pass.projectId, imageOf(after), pageSize);
    const removals: NewRemoval[] = [];
    for (const image of unused) {
      if (!(await parts.work.removeImage(tx, image))) continue;
      const { projectId, sha256, bytes } = image;
      const reason = 'no dataset version, prediction or open upload refers to this image';
      removals.push({ key: objectKeys.image(projectId, sha256), projectId, kind: 'UNUSED_IMAGE', reason, bytes });
    }
    await parts.removals.note(tx, pass.passId, removals, 0);
    return { findings: removals.map(toFinding), after: unused.length < pageSize ? null : cursorOf(unused.at(-1)) };
  });
};

const cursorOf = (image: UnusedImage | undefined) => (image === undefined ? null : objectKeys.image(image.projectId, image.sha256));

function imageOf(after: string): UnusedImage | null {
  const name = parseObjectKey(after);
  return name?.kind === 'image' ? { projectId: name.projectId, sha256: name.sha256, bytes: 0 } : null;
}
