import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { FaultSystem } from '../testkit/faults/fault-system.js';
import { growthOf, storyOf, type Sample } from '../testkit/faults/flatness.js';
import { computeProcessOf, footprintOf } from '../testkit/faults/footprint.js';
import { forgottenConnections, jetstreamConsumers } from '../testkit/faults/shared-footprint.js';

const MIB = 2 ** 20;
/** Steps of three batches an epoch, each epoch with an evaluation; no checkpoint but the last, whose copy would hide what is looked for. */
const RECIPE = {
  variant: 'LITE0',
  imageSizePx: 64,
  epochs: 70,
  globalBatchSize: 16,
  microBatchSize: 16,
  seed: 3,
  checkpointEveryEpochs: 1_000,
} as const;
/** Allocators and caches have settled by then. */
const SETTLED_STEP = 60;
const SAMPLE_EVERY_STEPS = 5;
/** Two thirds of the bytes of a batch for each step between the two halves that are compared: a step that keeps its batch keeps more. */
const WORKER_LIMIT_BYTES_PER_STEP = (16 * 64 * 64 * 3 * 2) / 3;
/** They handle no images; what they grow by is what the garbage collector has not looked at yet. */
const SERVICE_LIMIT_BYTES = 32 * MIB;

/** What is freed goes back at once: otherwise a leak first fills what the start left free, which is more than these steps leak. */
const HONEST_ALLOCATOR = { MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '65536', MALLOC_ARENA_MAX: '2' };

let system: FaultSystem;
beforeAll(async () => {
  const options = { workers: 1, coordinators: 1, images: 80, sizePx: 64, environment: HONEST_ALLOCATOR };
  system = await FaultSystem.start(inject('stack'), options);
});
afterAll(() => system.close());

test('200 steps leave memory, handles, threads, connections and consumers as they were', async () => {
  const { running } = system.system;
  const worker = running('worker')[0]!;
  const pids = {
    worker: computeProcessOf(worker),
    coordinator: running('coordinator')[0]!.pid!,
    gateway: running('gateway')[0]!.pid!,
  };
  const samples: Record<keyof typeof pids, Sample[]> = { worker: [], coordinator: [], gateway: [] };
  const shared: { consumers: string[]; forgotten: number }[] = [];

  const run = await system.train(RECIPE);
  for (let step = SETTLED_STEP; step <= 200; step += SAMPLE_EVERY_STEPS) {
    await run.until(`step ${step}`, (events) => events.some((event) => event.kind === 'STEP_COMMITTED' && event.step === step));
    for (const name of ['worker', 'coordinator', 'gateway'] as const) samples[name].push({ step, ...footprintOf(pids[name]) });
    if (step % 70 === 60)
      shared.push({ consumers: await jetstreamConsumers(inject('stack').nats), forgotten: await forgottenConnections(system.database) });
  }
  await run.ended();
  for (const name of ['worker', 'coordinator', 'gateway'] as const)
    expectFlat(name, samples[name], name === 'worker' ? (steps) => steps * WORKER_LIMIT_BYTES_PER_STEP : () => SERVICE_LIMIT_BYTES);
  for (const look of shared) expect(look).toEqual({ consumers: shared[0]?.consumers, forgotten: 0 });
});

function expectFlat(name: string, samples: readonly Sample[], limitBytes: (steps: number) => number): void {
  const growth = growthOf(samples);
  const told = `${name}: ${storyOf(samples)}`;
  expect(growth.residentBytes, told).toBeLessThan(limitBytes(growth.steps));
  expect(growth.handles, told).toBeLessThanOrEqual(4);
  expect(growth.sockets, told).toBeLessThanOrEqual(4);
  expect(growth.threads, told).toBeLessThanOrEqual(1);
}
