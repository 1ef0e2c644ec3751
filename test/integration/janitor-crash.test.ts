import { expect, test, vi } from 'vitest';
import { newId, uuidOf } from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import type { SeededProject } from '../testkit/rows.js';
import { description, hash, useJanitor } from './janitor-harness.js';

const harness = useJanitor();

class Died extends Error {}

/** From the so-and-so-manieth transaction or removal on, this process does nothing any more: as if it had been killed before it. */
function dieAt(deadly: number) {
  let uses = 0;
  const fuse = () => {
    if (++uses >= deadly) throw new Died(`died at use ${deadly}`);
  };
  const { database, inventory } = harness;
  const transaction = database.transaction.bind(database);
  const signRemovals = inventory.signRemovals.bind(inventory);
  const spies = [
    vi.spyOn(database, 'transaction').mockImplementation(async (name, work) => {
      fuse();
      return await transaction(name, work);
    }),
    vi.spyOn(inventory, 'signRemovals').mockImplementation(halfRemovals(signRemovals, fuse)),
  ];
  return { died: () => uses >= deadly, revive: () => spies.forEach((spy) => spy.mockRestore()) };
}

/** Dying while removals are sent: some have arrived. */
function halfRemovals(sign: typeof harness.inventory.signRemovals, fuse: () => void): typeof harness.inventory.signRemovals {
  return async (keys, seconds) => {
    const signed = await sign(keys, seconds);
    return {
      send: async (wanted) => {
        fuse();
        const some = wanted.slice(0, Math.ceil(wanted.length / 2));
        const results = await signed.send(some);
        fuse();
        return [...results, ...(await signed.send(wanted.slice(some.length)))];
      },
    };
  };
}

/** Everything that a janitor treats, with what has to be there when it is done. */
async function scene(): Promise<{ seeded: SeededProject; kept: string[] }> {
  const seeded = await harness.project();
  const { keys } = await harness.run(seeded, [5, 1, 3, 4, 6]);
  const used = await harness.image(seeded);
  await harness.sample(seeded, used.sha256, 0);
  await harness.image(seeded); // unused
  await harness.put(objectKeys.image(seeded.projectId, hash('orphan')));
  await harness.put(objectKeys.staging(seeded.uploadId, 0));
  const manifest = objectKeys.manifest(seeded.projectId, hash(seeded.projectId));
  const kept = [manifest, used.key, ...[keys[1]!, keys[3]!, keys[4]!].flatMap((key) => [key, description(key)])];
  return { seeded, kept: kept.sort() };
}

/** Objects that rows name. */
async function named(seeded: SeededProject): Promise<string[]> {
  const rows = await harness.sql(
    `select object_key as key from checkpoints where project_id = $1
     union all select replace(object_key, '.safetensors', '.json') from checkpoints where project_id = $1
     union all select 'projects/' || $2 || '/objects/' || encode(sha256, 'hex') from objects where project_id = $1
     union all select manifest_key from dataset_versions where project_id = $1`,
    uuidOf(seeded.projectId),
    seeded.projectId,
  );
  return rows.map((row) => (row as { key: string }).key);
}

test('wherever a janitor dies, nothing that is needed is lost, and the next one completes what it began', async () => {
  let deaths = 0;
  for (let deadly = 1; ; deadly++) {
    const { seeded, kept } = await scene();
    const id = await harness.request(seeded, 'DELETE');
    const killed = newId('crd');
    const fate = dieAt(deadly);
    const janitor = harness.janitor({ pageSize: 100 }, killed);
    const end = await harness.turns(id, janitor).catch((error: unknown) => error);
    fate.revive();
    if (!fate.died()) {
      expect((await harness.result(seeded, id)).pass.status).toBe('SUCCEEDED');
      expect((await harness.keys(seeded)).sort()).toEqual(kept);
      break;
    }
    expect(end).toBeInstanceOf(Died);
    deaths++;
    const what = `died at use ${deadly}`;
    // Whatever the rows say now has its objects, and what was to stay is there.
    expect(await harness.keys(seeded), what).toEqual(expect.arrayContaining([...kept, ...(await named(seeded))]));
    // The dead one's lease runs out, and another goes on with the pass.
    await harness.sql(`update janitor_passes set lease_until = now() - interval '1 second' where lease_holder = $1`, killed);
    await harness.turns(id, harness.janitor({ pageSize: 100 }));
    expect((await harness.keys(seeded)).sort(), what).toEqual(kept);
    expect((await named(seeded)).sort(), what).toEqual(kept);
    const open = await harness.sql(
      `select object_key from object_removals where project_id = $1 and state <> 'REMOVED'`,
      uuidOf(seeded.projectId),
    );
    expect(open, what).toEqual([]);
    const { findings } = await harness.result(seeded, id);
    expect(
      findings.filter(({ action }) => action !== 'REMOVED'),
      what,
    ).toEqual([]);
  }
  // Each phase has a transaction and a note of how far it is, the removal four uses.
  expect(deaths).toBeGreaterThan(15);
});
