import { workers } from '@roentgen/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { computeProcessOf } from '../testkit/faults/footprint.js';
import { FaultSystem, named, signalAll, type Outcome } from '../testkit/faults/fault-system.js';
import { expectNoOrphans, expectSameOutcome } from '../testkit/faults/same-outcome.js';
import { RECIPE } from '../testkit/faults/strike.js';
import type { Held } from '../testkit/faults/store-gate.js';
import type { WatchedRun } from '../testkit/faults/watched-run.js';
import { rawGraphql } from '../testkit/graphql-client.js';

/** All that has a state of its own: two moments of Adam, a moving average of the weights, batch statistics, dropout, stochastic depth, augmentation. */
const EVERYTHING = {
  ...RECIPE,
  ...{ epochs: 3, emaDecay: 0.99, dropoutRate: 0.2, dropConnectRate: 0.2 },
  // Many steps: a request to stop is to arrive before the epoch is over.
  ...{ globalBatchSize: 2, microBatchSize: 2 },
  augmentation: { preset: 'LIGHT' },
} as const;

let system: FaultSystem;
let calm: Outcome;
let stepsPerEpoch: number;

beforeAll(async () => {
  system = await FaultSystem.start(inject('stack'));
  const run = await system.train(EVERYTHING);
  await run.ended();
  calm = await system.outcome(run);
  stepsPerEpoch = Math.max(...calm.digests.keys()) / EVERYTHING.epochs;
});
afterAll(() => system.close());

async function ask(mutation: string, input: object): Promise<void> {
  const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`;
  const text = `mutation ($input: ${type}!) { ${mutation}(input: $input) { ok error { message } } }`;
  const { system: deployed } = system;
  const { body } = await rawGraphql(deployed.url, text, { variables: { input }, token: deployed.adminToken });
  expect(body).toEqual({ data: { [mutation]: { ok: true, error: null } } });
}

/** The request for an image that an attempt, begun at one step, makes for another; the attempt can do that step only when it is let through. */
const heldAt = (step: number, begunAt = 0) =>
  system.gate.hold({
    matches: ({ method, key }) => method === 'GET' && key.includes('/objects/') && !system.isValidationImage(key),
    nth: (step - begunAt) * EVERYTHING.globalBatchSize + 1,
  });

/** The checkpoint in the middle of an epoch that the run was left with. */
function midEpochCheckpoint(run: WatchedRun): number {
  const step = run.events.findLast((event) => event.kind === 'CHECKPOINT_SAVED')?.step ?? 0;
  expect(step % stepsPerEpoch, `steps of an epoch before the checkpoint; ${run.story()}`).toBeGreaterThan(0);
  return step;
}

/** Pauses it where it waits, lets it go on, and says at which step it stopped. */
async function pausedAt(run: WatchedRun, held: Promise<Held>): Promise<number> {
  const pauses = run.count('RUN_PAUSED');
  const { release } = await held;
  await ask('pauseTrainingRun', { runId: run.id });
  release();
  await run.until('the pause', () => run.count('RUN_PAUSED') > pauses);
  return midEpochCheckpoint(run);
}

test('paused in mid-epoch and resumed, twice', async () => {
  const early = heldAt(4);
  const run = await system.train(EVERYTHING);
  const first = await pausedAt(run, early);
  const late = heldAt(stepsPerEpoch + 4, first);
  await ask('resumeTrainingRun', { runId: run.id });
  const second = await pausedAt(run, late);
  expect(second).toBeGreaterThan(stepsPerEpoch);
  await ask('resumeTrainingRun', { runId: run.id });
  await run.ended();
  expect(run.count('RUN_STARTED')).toBe(3);
  await expectSameOutcome(system, run, calm);
});

test('killed in mid-epoch, after a checkpoint in the middle of that epoch', async () => {
  const early = heldAt(4);
  const run = await system.train(EVERYTHING);
  const saved = await pausedAt(run, early);
  const later = heldAt(saved + 4, saved);
  await ask('resumeTrainingRun', { runId: run.id });
  await later;
  await run.until('a step after the checkpoint', (events) =>
    events.some((event) => event.kind === 'STEP_COMMITTED' && event.step === saved + 1),
  );
  signalAll(system.workerOf(run), 'SIGKILL');
  const [replacement] = await Promise.all([system.system.addProcess('worker'), run.ended()]);
  expect(run.count('ATTEMPT_LOST')).toBe(1);
  // What came after the checkpoint was computed twice, from the checkpoint on.
  const restarted = run.events.findLastIndex((event) => event.kind === 'RUN_STARTED');
  expect(run.events.slice(restarted).find((event) => event.kind === 'STEP_COMMITTED')?.step).toBe(saved + 1);
  await expectSameOutcome(system, run, calm, 1);
  await system.idle(replacement.name);
});

test('left by a worker that is drained', async () => {
  const held = heldAt(4);
  const run = await system.train(EVERYTHING);
  const { release } = await held;
  const { name } = system.workerOf(run);
  const drained = (await workers(system.client)).find((worker) => worker.name === name && worker.online);
  await ask('drainWorker', { workerId: drained?.id });
  release();
  await run.until('another worker', () => run.count('RUN_STARTED') === 2);
  midEpochCheckpoint(run);
  expect(run.workerName).not.toBe(name);
  await run.ended();
  expect(run.events.some((event) => event.kind === 'ATTEMPT_FAILED' && event.failureCode === 'WORKER_STOPPING')).toBe(true);
  await expectSameOutcome(system, run, calm);
  // It gets nothing more: another takes its place.
  await named(system.system.running('worker'), name).stop();
  await system.idle((await system.system.addProcess('worker')).name);
});

test('left by a worker that is shut down, in each of its epochs', async () => {
  let held = heldAt(4);
  const run = await system.train(EVERYTHING);
  for (const epoch of [0, 1, 2]) {
    const { release } = await held;
    const resumed = system.gate.hold({ matches: ({ method, key }) => method === 'GET' && /\/checkpoints\/.*\.safetensors$/.test(key) });
    const worker = system.workerOf(run);
    worker.kill('SIGTERM');
    release();
    expect(await worker.ended).toBe('ended with exit code 0');
    const { release: goOn } = await resumed;
    const step = midEpochCheckpoint(run);
    if (epoch < 2) held = heldAt((epoch + 1) * stepsPerEpoch + 4, step);
    goOn();
    await system.system.addProcess('worker');
  }
  await run.ended();
  await expectSameOutcome(system, run, calm);
});

test('whose compute process is killed', async () => {
  const held = heldAt(stepsPerEpoch + 4);
  const run = await system.train(EVERYTHING);
  await held;
  process.kill(computeProcessOf(system.workerOf(run)), 'SIGKILL');
  await run.ended();
  expect(run.events.find((event) => event.kind === 'ATTEMPT_FAILED')?.failureCode).toBe('COMPUTE_PROCESS_DIED');
  await expectSameOutcome(system, run, calm, 1);
});

test('what was left behind in the store goes, and nothing else', async () => {
  await expectNoOrphans(system);
});
