import { describe, expect, test } from 'vitest';
import type { RemovalRecord } from '@roentgen/database';
import { newId, type UploadStatus } from '@roentgen/domain';
import { objectKeys, parseObjectKey } from '@roentgen/storage';
import { judgeObject, type ObjectFacts } from './judge.js';

const projectId = newId('prj');
const HOUR = 3_600_000;
const GRACE = 24 * HOUR;
const NOW = Date.parse('2026-03-10T12:00:00.000Z');
const at = (hoursAgo: number) => new Date(NOW - hoursAgo * HOUR).toISOString();

function judge(key: string, facts: Partial<ObjectFacts> = {}, writtenHoursAgo = 100) {
  const known = { name: parseObjectKey(key), referenced: false, upload: null, attemptStartedAt: null, removal: null, ...facts };
  return judgeObject({ key, bytes: 5, modifiedAt: at(writtenHoursAgo) }, known, NOW, GRACE);
}

const image = objectKeys.image(projectId, 'a'.repeat(64));
const noted = (hoursAgo: number, more: Partial<RemovalRecord> = {}): RemovalRecord => ({
  key: image,
  projectId,
  kind: 'ORPHAN',
  reason: 'noted',
  bytes: 5,
  state: 'NOTED',
  notedAt: at(hoursAgo),
  dueAt: at(hoursAgo - 24),
  ...more,
});

describe('an object that no row refers to', () => {
  test('is noted when it is first seen, however old it is', () => {
    expect(judge(image)).toMatchObject({ kind: 'ORPHAN', action: 'WAIT', noteForMs: GRACE, bytes: 5, projectId });
    expect(judge(image)?.reason).toContain('goes after 2026-03-11T12:00:00.000Z');
  });
  test('waits until its time has come', () => {
    expect(judge(image, { removal: noted(23.9) })).toMatchObject({ action: 'WAIT', noteForMs: null });
    expect(judge(image, { removal: noted(24) })).toMatchObject({ action: 'REMOVE', noteForMs: null });
  });
  test('waits anew when it was written since it was noted', () => {
    expect(judge(image, { removal: noted(30) }, 20)).toMatchObject({ action: 'WAIT' });
    expect(judge(image, { removal: noted(60) }, 25)).toMatchObject({ action: 'REMOVE' });
  });
  test('is noted anew when it was removed before and is there again', () => {
    expect(judge(image, { removal: noted(100, { state: 'REMOVED' }) })).toMatchObject({ action: 'WAIT', noteForMs: GRACE });
  });
  test('is of no account once a row does', () => {
    expect(judge(image, { referenced: true, removal: noted(100) })).toBeNull();
  });
});

describe('a checkpoint that no row refers to', () => {
  const key = objectKeys.checkpoint(projectId, newId('run'), newId('ckp'));
  test('stays while the attempt that may have written it is under way', () => {
    expect(judge(key, { attemptStartedAt: at(99) }, 98)).toBeNull();
    expect(judge(key, { attemptStartedAt: at(99) }, 110)).toBeNull();
    expect(judge(key, { attemptStartedAt: at(50) }, 98)).toMatchObject({ kind: 'ORPHAN' });
    expect(judge(key, {}, 98)).toMatchObject({ kind: 'ORPHAN' });
  });
  test('that its run can spare goes at once, and for that reason', () => {
    const removal = noted(0, { key, kind: 'SPARE_CHECKPOINT', reason: 'not among the last 3', dueAt: at(0) });
    expect(judge(key, { removal })).toMatchObject({ kind: 'SPARE_CHECKPOINT', action: 'REMOVE', reason: 'not among the last 3' });
  });
});

describe('a file as a client sent it', () => {
  const uploadId = newId('upl');
  const key = objectKeys.staging(uploadId, 3);
  test.each<[UploadStatus, boolean, RegExp | null]>([
    ['OPEN', false, null],
    ['INSPECTING', false, null],
    ['OPEN', true, /was not completed in time/],
    ['READY', false, /has been inspected/],
    ['EXPIRED', false, /has ended/],
  ])('of an upload that is %s (beyond its time: %s)', (status, expired, why) => {
    const judged = judge(key, { upload: { uploadId, projectId, status, expired } }, 0);
    if (why === null) expect(judged).toBeNull();
    else {
      expect(judged).toMatchObject({ kind: 'SPENT_UPLOAD', action: 'REMOVE', noteForMs: 0 });
      expect(judged?.reason).toMatch(why);
    }
  });
  test('of an upload that nobody knows is an orphan like any other, and of no project', () => {
    expect(judge(key)).toMatchObject({ kind: 'ORPHAN', action: 'WAIT', projectId: null });
  });
});

test('a key that is none of ours is reported and never touched', () => {
  for (const key of ['backup.tar', `projects/${projectId}/notes.txt`]) {
    expect(judge(key)).toMatchObject({ kind: 'FOREIGN', action: 'REPORT', noteForMs: null });
  }
});
