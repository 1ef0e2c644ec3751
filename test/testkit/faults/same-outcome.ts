import { runJanitor } from '@roentgen/client';
import { expect, vi } from 'vitest';
import { JANITOR_GRACE_MS, type FaultSystem, type Outcome } from './fault-system.js';
import { brokenInvariants } from './row-invariants.js';
import { compareObjectsWithRows } from './stored-objects.js';
import type { WatchedRun } from './watched-run.js';

/** Bytes of a checkpoint that nobody was told of, because the worker that sent it was lost meanwhile: the janitor's to remove. */
const UNFINISHED_CHECKPOINT = /\/runs\/(run_[0-9a-f]{32})\/checkpoints\/ckp_[0-9a-f]{32}\.(safetensors|json)$/;

/**
 * The run is what it is when nothing happens on the way: numbers, bits and predictions; its log has no gap; rows and objects fit together.
 * @param lostWorkers how many attempts were cut off, each of which may leave one checkpoint that no row knows
 */
export async function expectSameOutcome(system: FaultSystem, run: WatchedRun, calm: Outcome, lostWorkers = 0): Promise<void> {
  expect(run.events.at(-1)?.kind, run.story()).toBe('RUN_SUCCEEDED');
  expect(run.events.map((event) => event.sequence)).toEqual(run.events.map((_, index) => index + 1));
  const outcome = await system.outcome(run);
  expect(outcome.points, run.story()).toEqual(calm.points);
  for (const [step, digest] of calm.digests) expect([step, outcome.digests.get(step)], run.story()).toEqual([step, digest]);
  expect(outcome.csv).toBe(calm.csv);
  expect(await brokenInvariants(system.database), run.story()).toEqual([]);
  const { orphans, incomplete, missing } = await compareObjectsWithRows(system.database, system.system.parts.store);
  expect(missing).toEqual([]);
  const unknown = [...orphans, ...incomplete];
  const left = new Set(unknown.filter((key) => UNFINISHED_CHECKPOINT.exec(key)?.[1] === run.id).map((key) => key.replace(/\.\w+$/, '')));
  expect(left.size, `checkpoints without a row: ${[...left].join(', ')}`).toBeLessThanOrEqual(lostWorkers);
  expect(unknown.filter((key) => !UNFINISHED_CHECKPOINT.test(key))).toEqual([]);
}

/** What attempts left behind that were cut off is gone once the janitor may take it; nothing that a row knows is. Parts that were sent stay for a day. */
export async function expectNoOrphans(system: FaultSystem): Promise<void> {
  await vi.waitFor(
    async () => {
      await runJanitor(system.client, { delete: true });
      expect(await compareObjectsWithRows(system.database, system.system.parts.store)).toMatchObject({ orphans: [], missing: [] });
    },
    { timeout: 3 * JANITOR_GRACE_MS, interval: 5_000 },
  );
}
