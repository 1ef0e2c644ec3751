import { expect, test, vi } from 'vitest';
import { UnavailableError, newId, uuidOf } from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import { hash, useJanitor } from './janitor-harness.js';

const harness = useJanitor();
const expire = () => harness.sql(`update janitor_passes set lease_until = now() - interval '1 second' where status = 'RUNNING'`);

/** A coordinator that is closed in the middle of the pass that is next. */
async function begun(): Promise<void> {
  const before = newId('crd');
  expect(await harness.passes.claim(before, 60_000)).not.toBeNull();
  await harness.passes.release(before);
}

test('of several coordinators one makes the pass; one that stands still loses it, and writes nothing when it wakes up', async () => {
  const seeded = await harness.project();
  const orphan = await harness.put(objectKeys.image(seeded.projectId, hash('orphan')));
  const id = await harness.request(seeded, 'DELETE');
  let wakeUp: () => void = () => undefined;
  let standsStill: () => void = () => undefined;
  const still = new Promise<void>((resolve) => (standsStill = resolve));
  const awake = new Promise<void>((resolve) => (wakeUp = resolve));
  const { inventory } = harness;
  const list = inventory.list.bind(inventory);
  const spy = vi.spyOn(inventory, 'list').mockImplementationOnce(async (...given) => {
    const objects = await list(...given);
    standsStill();
    await awake;
    return objects;
  });

  const first = harness.janitor().turn();
  await still;
  // While its lease lasts, the others leave it alone.
  await harness.janitor().turn();
  expect((await harness.result(seeded, id)).pass.status).toBe('RUNNING');
  expect(await harness.store.stat(orphan)).not.toBeNull();

  await expire();
  await harness.turns(id, harness.janitor());
  spy.mockRestore();
  const state = () => Promise.all([harness.result(seeded, id), harness.sql('select * from object_removals'), harness.keys(seeded)]);
  const done = await state();
  expect(done[0]).toMatchObject({ pass: { status: 'SUCCEEDED' }, findings: [{ key: orphan, action: 'REMOVED' }] });

  wakeUp();
  await first;
  expect(await state()).toEqual(done);
});

test('what one has begun another sees through, after it was closed', async () => {
  const seeded = await harness.project();
  await harness.run(seeded, [1, 2, 3, 4, 5]);
  const id = await harness.request(seeded, 'DELETE');
  const leaving = newId('crd');
  expect(await harness.passes.claim(leaving, 60_000)).toMatchObject({ passId: id, generation: 1 });
  expect(await harness.passes.claim(newId('crd'), 60_000)).toBeNull();
  await harness.passes.release(leaving);
  await harness.turns(id, harness.janitor());
  expect((await harness.result(seeded, id)).findings).toHaveLength(4);
});

test('a pass over everything is begun once an interval, whoever asks', async () => {
  await Promise.all(Array.from({ length: 5 }, () => harness.passes.beginAutomatic('DRY_RUN', 3_600_000)));
  const open = () => harness.sql('select id, mode from janitor_passes where project_id is null');
  expect(await open()).toHaveLength(1);
  const janitor = harness.janitor({ intervalMs: 3_600_000 });
  await vi.waitFor(async () => {
    await janitor.turn();
    expect(await harness.sql(`select from janitor_passes where status in ('QUEUED', 'RUNNING')`)).toEqual([]);
  });
  await harness.passes.beginAutomatic('DRY_RUN', 3_600_000);
  expect(await open()).toHaveLength(1);
  await harness.sql(`update janitor_passes set created_at = created_at - interval '1 hour'`);
  await harness.passes.beginAutomatic('DELETE', 3_600_000);
  expect(await open()).toHaveLength(2);
});

const SWITCHED = [
  { setting: 'off', options: { intervalMs: 0, automaticMode: 'DRY_RUN' } },
  { setting: 'dry-run', options: { intervalMs: 3_600_000, automaticMode: 'DRY_RUN' } },
] as const;

test.each(SWITCHED)(
  'a pass that nobody asked for ends, and removes nothing more, when the janitor is switched to $setting',
  async ({ options, setting }) => {
    await harness.sql('delete from janitor_passes');
    const seeded = await harness.project();
    const { keys } = await harness.run(seeded, [1, 2, 3, 4, 5]);
    await harness.passes.beginAutomatic('DELETE', 3_600_000);
    await begun();
    await harness.janitor(options).turn();
    expect(await harness.sql('select status, error_message from janitor_passes')).toEqual([
      { status: 'FAILED', error_message: expect.stringContaining(`COORDINATOR_JANITOR is ${setting}`) },
    ]);
    for (const key of keys) expect(await harness.store.stat(key)).not.toBeNull();
  },
);

test.each(SWITCHED)(
  'nor does one that a user asked for delete with $setting, whether it waits, is under way or is new; a dry run is made',
  async ({ options, setting }) => {
    const seeded = await harness.project();
    const { keys } = await harness.run(seeded, [1, 2, 3, 4, 5]);
    const ended = { status: 'FAILED', errorMessage: expect.stringContaining(`COORDINATOR_JANITOR is ${setting}`) };
    const underWay = await harness.request(seeded, 'DELETE');
    await begun();
    const waits = await harness.request(seeded, 'DELETE');
    const janitor = harness.janitor(options);
    await harness.turns(underWay, janitor);
    await harness.turns(waits, janitor);
    for (const id of [underWay, waits]) expect((await harness.result(seeded, id)).pass).toMatchObject(ended);
    expect((await harness.pass(seeded, 'DELETE', janitor)).pass).toMatchObject(ended);
    const said = await harness.pass(seeded, 'DRY_RUN', janitor);
    expect(said).toMatchObject({ pass: { status: 'SUCCEEDED' }, findings: { length: 4 } });
    for (const key of keys) expect(await harness.store.stat(key)).not.toBeNull();
    expect((await harness.pass(seeded, 'DELETE')).findings).toHaveLength(4);
  },
);

test('a pass that cannot be made ends with the reason; one whose store is away waits and goes on', async () => {
  const seeded = await harness.project();
  const id = await harness.request(seeded, 'DRY_RUN');
  const { inventory } = harness;
  const away = vi.spyOn(inventory, 'list').mockRejectedValueOnce(new UnavailableError('the store is away'));
  await expect(harness.janitor().turn()).rejects.toThrow('the store is away');
  away.mockRestore();
  await expire();
  const spy = vi.spyOn(inventory, 'list').mockRejectedValue(new TypeError('the listing makes no sense'));
  await harness.turns(id, harness.janitor());
  spy.mockRestore();
  expect((await harness.result(seeded, id)).pass).toMatchObject({ status: 'FAILED', errorMessage: 'the listing makes no sense' });
  expect(await harness.sql('select from janitor_passes where id = $1 and lease_holder is null', uuidOf(id))).toHaveLength(1);
});
