import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { FaultSystem, type Outcome } from '../testkit/faults/fault-system.js';
import { brokenInvariants, ROW_INVARIANTS } from '../testkit/faults/row-invariants.js';
import { expectNoOrphans, expectSameOutcome } from '../testkit/faults/same-outcome.js';
import { expectFelt, FAULTS, PHASES, RECIPE, TARGETS, trainThrough } from '../testkit/faults/strike.js';

let system: FaultSystem;
let calm: Outcome;

beforeAll(async () => {
  system = await FaultSystem.start(inject('stack'));
  const run = await system.train(RECIPE);
  await run.ended();
  calm = await system.outcome(run);
});
afterAll(() => system.close());

const STRIKES = TARGETS.flatMap((target) =>
  PHASES.flatMap((phase) => FAULTS.map((fault) => [`${fault} of the ${target} at: ${phase}`, { target, phase, fault }] as const)),
);

describe('a run is the same to the last bit, and nothing is left lying about', () => {
  test.each(STRIKES)('with %s', async (_name, strike) => {
    const { run, struck } = await trainThrough(system, strike);
    await expectFelt(system, run, struck, strike);
    await expectSameOutcome(system, run, calm, strike.target === 'worker' && strike.fault !== 'SIGTERM' ? 1 : 0);
  });
});

test('what was left behind in the store goes, and nothing else', async () => {
  await expectNoOrphans(system);
});

test.each(ROW_INVARIANTS)('the rule can be broken: $rule', async ({ rule, breakIt }) => {
  class Undone extends Error {}
  const attempt = system.database.transaction('break', async (tx) => {
    await tx.query('trust_the_test', `set local session_replication_role = replica`);
    await tx.query('break', breakIt);
    expect((await brokenInvariants(tx)).map((line) => line.slice(0, rule.length))).toContain(rule);
    throw new Undone();
  });
  await expect(attempt).rejects.toThrow(Undone);
});
