import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PartName, Stack } from '@roentgen/local-stack';
import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { EVENTUALLY, FaultSystem, type Outcome } from '../testkit/faults/fault-system.js';
import { expectNoOrphans, expectSameOutcome } from '../testkit/faults/same-outcome.js';
import { RECIPE, trainUntil, type Phase } from '../testkit/faults/strike.js';
import { startTestStack } from '../testkit/global-stack.js';

let folder: string;
let stack: Stack;
let system: FaultSystem;
let calm: Outcome;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-outages-'));
  // What the parts have answered for must outlive them, which an ephemeral stack does not promise.
  stack = await startTestStack({ profile: 'durable', dataDirectory: folder });
  system = await FaultSystem.start(stack);
  const run = await system.train(RECIPE);
  await run.ended();
  calm = await system.outcome(run);
});
afterAll(async () => {
  await system.close();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
});

const OUTAGE_MS = 20_000;
const CASES: readonly (readonly [PartName, Phase, number])[] = (['nats', 'store', 'postgres'] as const).flatMap((part) => [
  [part, 'step', 0] as const,
  [part, 'checkpoint upload', 0] as const,
  [part, 'loading', OUTAGE_MS] as const,
  [part, 'step', OUTAGE_MS] as const,
  [part, 'finishing', OUTAGE_MS] as const,
]);

describe('a run is the same to the last bit', () => {
  test.each(CASES)('with %s killed at: %s, and away for %i ms', async (name, phase, awayMs) => {
    const part = stack.processes().find((candidate) => candidate.name === name)!;
    const { run, release } = await trainUntil(system, phase);
    await part.kill('SIGKILL');
    release();
    await sleep(awayMs);
    // A server may find what its predecessor, just killed, has not let go of yet.
    await vi.waitFor(() => part.restart(), EVENTUALLY);
    await run.ended();
    await expectSameOutcome(system, run, calm, 1);
  });
});

test('what was left behind in the store goes, and nothing else', async () => {
  await expectNoOrphans(system);
});
