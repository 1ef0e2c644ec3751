import { describe, expect, test } from 'vitest';
import { newId, uuidOf, type JanitorFinding } from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import { description, hash, useJanitor } from './janitor-harness.js';

const harness = useJanitor();
const sql = (text: string, ...values: readonly unknown[]) => harness.sql(text, ...values);
const of = (kind: JanitorFinding['kind'], findings: readonly JanitorFinding[]) => findings.filter((finding) => finding.kind === kind);
const keysOf = (findings: readonly JanitorFinding[]) => findings.map(({ key }) => key).sort();
const both = (key: string | undefined) => (key === undefined ? [] : [key, description(key)]);

describe('checkpoints of a run', () => {
  test('but the last and the best go, said first and then done, with the bytes and the reason', async () => {
    const seeded = await harness.project();
    const { keys, runId } = await harness.run(seeded, [5, 1, 3, 4, 6]);
    const spare = [...both(keys[0]), ...both(keys[2])].sort();
    const before = await harness.keys(seeded);
    const rows = () => sql('select step from checkpoints where run_id = $1 order by step', uuidOf(runId));

    const said = await harness.pass(seeded, 'DRY_RUN');
    expect(said.pass).toMatchObject({ status: 'SUCCEEDED', mode: 'DRY_RUN', truncated: false });
    expect(keysOf(said.findings)).toEqual(spare);
    expect(said.findings.find(({ key }) => key === keys[0])).toMatchObject({ kind: 'SPARE_CHECKPOINT', action: 'REMOVE', bytes: 1000 });
    expect(said.findings[0]?.reason).toContain(`checkpoint of step 10 of ${runId}: not one of the last 2 or the best 1`);
    expect(await harness.keys(seeded)).toEqual(before);
    expect(await rows()).toHaveLength(5);
    expect(await sql('select from object_removals where project_id = $1', uuidOf(seeded.projectId))).toEqual([]);

    const done = await harness.pass(seeded, 'DELETE');
    expect(keysOf(done.findings)).toEqual(spare);
    expect(new Set(done.findings.map(({ action }) => action))).toEqual(new Set(['REMOVED']));
    expect(await harness.keys(seeded)).toEqual(before.filter((key) => !spare.includes(key)));
    expect(await rows()).toEqual([{ step: 20 }, { step: 40 }, { step: 50 }]);
    const record = await sql(`select object_key, state from object_removals where project_id = $1 order by 1`, uuidOf(seeded.projectId));
    expect(record).toEqual(spare.map((object_key) => ({ object_key, state: 'REMOVED' })));

    expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
  });

  test('that a model, another run or an attempt needs stay, whatever their place', async () => {
    const seeded = await harness.project();
    const { ids, keys, runId, attempt } = await harness.run(seeded, [null, null, null, null, null, null]);
    const other = await harness.run(seeded, []);
    const project = uuidOf(seeded.projectId);
    await sql(
      `insert into models (id, project_id, run_id, checkpoint_id, name, variant, classes) values (gen_random_uuid(), $1, $2, $3, 'm', 'B0', '{a,b}')`,
      project,
      uuidOf(runId),
      ids[0],
    );
    await sql('update training_runs set checkpoint_id = $2 where id = $1', uuidOf(other.runId), ids[1]);
    await sql('update attempts set resumed_from = $2, status = $3, ended_at = null where id = $1', attempt, ids[2], 'RUNNING');
    const said = await harness.pass(seeded, 'DRY_RUN');
    const done = await harness.pass(seeded, 'DELETE');
    expect(keysOf(done.findings)).toEqual(both(keys[3]).sort());
    expect(keysOf(said.findings)).toEqual(keysOf(done.findings));
    expect(await harness.keys(seeded)).toEqual(expect.arrayContaining([0, 1, 2, 4, 5].flatMap((i) => both(keys[i]))));
    // Once the attempt has ended, nothing needs the one that it went on from.
    await sql(`update attempts set status = 'LOST', ended_at = now() where id = $1`, attempt);
    expect(keysOf((await harness.pass(seeded, 'DELETE')).findings)).toEqual(both(keys[2]).sort());
  });

  test('of two rows that share an object the object stays with the last', async () => {
    const seeded = await harness.project();
    const { ids, keys } = await harness.run(seeded, [null, null, null]);
    await sql('update checkpoints set object_key = $2 where id = $1', ids[0], keys[2]);
    await harness.pass(seeded, 'DELETE');
    expect(await sql('select from checkpoints where id = $1', ids[0])).toEqual([]);
    expect(await harness.keys(seeded)).toEqual(expect.arrayContaining(both(keys[2])));
  });
});

describe('objects that no row refers to', () => {
  test('wait until they have been seen for the whole grace, then go', async () => {
    const seeded = await harness.project();
    const runId = newId('run');
    const orphans = [
      await harness.put(objectKeys.image(seeded.projectId, hash('orphan'))),
      await harness.put(objectKeys.weights(seeded.projectId, hash('orphan'))),
      await harness.put(objectKeys.manifest(seeded.projectId, hash('orphan'))),
      await harness.put(objectKeys.predictionsCsv(seeded.projectId, newId('pred'))),
      await harness.put(objectKeys.checkpoint(seeded.projectId, runId, newId('ckp'))),
    ].sort();
    const kept = (await harness.keys(seeded)).filter((key) => !orphans.includes(key));
    const patient = harness.janitor({ graceMs: 3_600_000 });
    for (const mode of ['DRY_RUN', 'DELETE', 'DELETE'] as const) {
      const { findings } = await harness.pass(seeded, mode, patient);
      expect(keysOf(findings)).toEqual(orphans);
      expect(new Set(findings.map(({ kind, action }) => `${kind} ${action}`))).toEqual(new Set(['ORPHAN WAIT']));
    }
    // An hour later.
    await sql(
      `update object_removals set due_at = due_at - interval '1 hour', noted_at = noted_at - interval '1 hour' where project_id = $1`,
      uuidOf(seeded.projectId),
    );
    const said = await harness.pass(seeded, 'DRY_RUN', patient);
    const done = await harness.pass(seeded, 'DELETE', patient);
    expect(keysOf(done.findings.filter(({ action }) => action === 'REMOVED'))).toEqual(orphans);
    expect(keysOf(said.findings)).toEqual(orphans);
    expect(await harness.keys(seeded)).toEqual(kept);
  });

  test('stay while the attempt that may have written them is under way', async () => {
    const seeded = await harness.project();
    const { attempt, runId } = await harness.run(seeded, []);
    await sql(`update attempts set status = 'RUNNING', ended_at = null where id = $1`, attempt);
    const key = await harness.put(objectKeys.checkpoint(seeded.projectId, runId, newId('ckp')));
    expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
    await sql(`update attempts set status = 'LOST', ended_at = now() where id = $1`, attempt);
    expect(keysOf((await harness.pass(seeded, 'DELETE')).findings)).toEqual([key]);
  });

  test('with keys of others are told of in a pass over everything, and stay', async () => {
    const key = await harness.put('backups/2026.tar');
    const seeded = await harness.project();
    expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
    await harness.passes.beginAutomatic('DELETE', 1_000);
    const [row] = await sql('select id from janitor_passes where project_id is null order by created_at desc limit 1');
    const id = (row as { id: string }).id;
    await harness.turns(`jan_${id.replaceAll('-', '')}`, harness.janitor({ graceMs: 3_600_000, intervalMs: 3_600_000 }));
    expect(await sql(`select kind, action from janitor_findings where pass_id = $1 and object_key = $2`, id, key)).toEqual([
      { kind: 'FOREIGN', action: 'REPORT' },
    ]);
    expect(await harness.store.stat(key)).not.toBeNull();
  });
});

test('a row whose object is missing is told of, and stays as it is', async () => {
  const seeded = await harness.project();
  const { keys, runId } = await harness.run(seeded, [1]);
  const image = await harness.image(seeded);
  await harness.sample(seeded, image.sha256, 0);
  await harness.store.remove([image.key, ...both(keys[0])]);
  const { findings, pass } = await harness.pass(seeded, 'DELETE');
  expect(pass.status).toBe('SUCCEEDED');
  expect(keysOf(findings)).toEqual([image.key, ...both(keys[0])].sort());
  expect(new Set(findings.map(({ kind, action }) => `${kind} ${action}`))).toEqual(new Set(['MISSING REPORT']));
  expect(await sql('select step from checkpoints where run_id = $1', uuidOf(runId))).toEqual([{ step: 10 }]);
  expect(await sql(`select from objects where project_id = $1`, uuidOf(seeded.projectId))).toHaveLength(1);
});

describe('an image', () => {
  test('goes only with the last that refers to it', async () => {
    const seeded = await harness.project();
    const { sha256, key } = await harness.image(seeded);
    const project = uuidOf(seeded.projectId);
    const there = async () => (await harness.pass(seeded, 'DELETE'), (await harness.store.stat(key)) !== null);
    await harness.sample(seeded, sha256, 0);
    await harness.sample(seeded, sha256, 1);
    await sql(
      `insert into upload_files (upload_id, ordinal, project_id, file_name, declared_bytes, status, sha256) values ($1, 0, $2, 'f', 1, 'VERIFIED', decode($3, 'hex'))`,
      uuidOf(seeded.uploadId),
      project,
      sha256,
    );
    expect(await there()).toBe(true);
    await sql('delete from samples where project_id = $1 and ordinal = 0', project);
    expect(await there()).toBe(true);
    await sql('delete from samples where project_id = $1', project);
    expect(await there()).toBe(true);
    await sql('delete from upload_files where project_id = $1', project);
    const said = await harness.pass(seeded, 'DRY_RUN');
    expect(said.findings).toMatchObject([{ key, kind: 'UNUSED_IMAGE', action: 'REMOVE', bytes: 36 }]);
    expect(await there()).toBe(false);
    expect(await sql('select from objects where project_id = $1', project)).toEqual([]);
  });

  test('of an upload of which nothing was made goes when the time of that is over', async () => {
    const seeded = await harness.project();
    const project = uuidOf(seeded.projectId);
    const upload = newId('upl');
    const { sha256, key } = await harness.image(seeded);
    await sql(
      `insert into uploads (id, project_id, created_by, status, expires_at) values ($1, $2, $3, 'READY', now() + interval '1 hour')`,
      uuidOf(upload),
      project,
      uuidOf(seeded.tokenId),
    );
    await sql(
      `insert into upload_files (upload_id, ordinal, project_id, file_name, declared_bytes, status, sha256) values ($1, 0, $2, 'f', 1, 'VERIFIED', decode($3, 'hex'))`,
      uuidOf(upload),
      project,
      sha256,
    );
    expect((await harness.pass(seeded, 'DELETE')).findings).toEqual([]);
    await sql(`update uploads set expires_at = now() - interval '1 second' where id = $1`, uuidOf(upload));
    expect(keysOf((await harness.pass(seeded, 'DRY_RUN')).findings)).toEqual([key]);
    expect(await sql('select status from uploads where id = $1', uuidOf(upload))).toEqual([{ status: 'READY' }]);
    expect(keysOf((await harness.pass(seeded, 'DELETE')).findings)).toEqual([key]);
    expect(await sql('select status from uploads where id = $1', uuidOf(upload))).toEqual([{ status: 'EXPIRED' }]);
    expect(await harness.store.stat(key)).toBeNull();
  });
});

describe('files as clients sent them', () => {
  test.each([
    ['INSPECTING', '-1 day', false],
    ['OPEN', '1 day', false],
    ['OPEN', '-1 day', true],
    ['READY', '1 day', true],
    ['EXPIRED', '1 day', true],
  ])('of an upload that is %s, with an end in %s, go: %s', async (status, end, goes) => {
    const seeded = await harness.project();
    await sql(`update uploads set status = $2, expires_at = now() + $3::interval where id = $1`, uuidOf(seeded.uploadId), status, end);
    const key = await harness.put(objectKeys.staging(seeded.uploadId, 0));
    const said = await harness.pass(seeded, 'DRY_RUN');
    const done = await harness.pass(seeded, 'DELETE');
    expect(of('SPENT_UPLOAD', said.findings).map((finding) => finding.key)).toEqual(goes ? [key] : []);
    expect(of('SPENT_UPLOAD', done.findings).map((finding) => finding.action)).toEqual(goes ? ['REMOVED'] : []);
    expect((await harness.store.stat(key)) === null).toBe(goes);
  });
});

test('a pass touches nothing of another project', async () => {
  const [mine, other] = [await harness.project(), await harness.project()];
  await harness.run(other, [1, 2, 3, 4, 5]);
  await harness.put(objectKeys.image(other.projectId, hash('orphan')));
  await harness.put(objectKeys.staging(other.uploadId, 0));
  const before = await harness.keys(other);
  expect((await harness.pass(mine, 'DELETE')).findings).toEqual([]);
  expect(await harness.keys(other)).toEqual(before);
});

test('a pass that finds too much removes that and says that there is more', async () => {
  const seeded = await harness.project();
  for (let i = 0; i < 20; i++) await harness.put(objectKeys.staging(seeded.uploadId, i));
  const { pass, findings } = await harness.pass(seeded, 'DELETE', harness.janitor({ pageSize: 5, maxFindings: 8 }));
  expect(pass).toMatchObject({ status: 'SUCCEEDED', truncated: true });
  expect(findings.length).toBeGreaterThanOrEqual(8);
  expect(await harness.keys(seeded)).toHaveLength(21 - findings.length);
  expect((await harness.pass(seeded, 'DELETE')).pass.truncated).toBe(false);
  expect(await harness.keys(seeded)).toHaveLength(1);
});

test('more of what may not be removed than a pass notes keeps the next passes from nothing that comes after it', async () => {
  const foreign = await Promise.all(Array.from({ length: 30 }, (_, i) => harness.put(`archive/${String(i).padStart(2, '0')}.tar`)));
  const seeded = await harness.project();
  const orphan = await harness.put(objectKeys.image(seeded.projectId, hash('orphan')));
  const told = async () => {
    await harness.sql('delete from janitor_passes where finished_at is null');
    await harness.passes.beginAutomatic('DELETE', 0);
    const [row] = (await sql('select id from janitor_passes where finished_at is null')) as [{ id: string }];
    await harness.turns(
      `jan_${row.id.replaceAll('-', '')}`,
      harness.janitor({ graceMs: 3_600_000, maxFindings: 20, intervalMs: 3_600_000 }),
    );
    const rows = await sql('select object_key from janitor_findings where pass_id = $1', row.id);
    return new Set(rows.map((found) => (found as { object_key: string }).object_key));
  };
  const passes = [await told(), await told(), await told(), await told(), await told(), await told()];
  const seesAll = passes.findIndex((keys) => keys.has(orphan));
  expect(seesAll).toBeGreaterThan(0);
  expect(foreign.filter((key) => !passes.some((keys) => keys.has(key)))).toEqual([]);
  // Once the end was reached, the next one begins at the first key.
  expect(passes.slice(1).some((keys) => keys.has(foreign[0]!))).toBe(true);
  await harness.store.remove(foreign);
});
