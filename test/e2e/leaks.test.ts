import { connect, type ConsumerInfo } from 'nats';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { FaultSystem } from '../testkit/faults/fault-system.js';
import { footprintOf, median, type Footprint } from '../testkit/faults/footprint.js';

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

interface Sample extends Footprint {
  readonly step: number;
}

/** What is freed goes back at once: otherwise a leak first fills what the start left free, which is more than these steps leak. */
const HONEST_ALLOCATOR = { MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '65536', MALLOC_ARENA_MAX: '2' };

let system: FaultSystem;
beforeAll(async () => {
  const options = { workers: 1, coordinators: 1, images: 80, sizePx: 64, environment: HONEST_ALLOCATOR };
  system = await FaultSystem.start(inject('stack'), options);
});
afterAll(() => system.close());

test('200 steps leave memory, handles, threads, connections and consumers as they were', async () => {
  const { running, parts } = system.system;
  const worker = running('worker')[0]!;
  const pids = {
    worker: await system.computeProcessOf(worker),
    coordinator: running('coordinator')[0]!.pid!,
    gateway: running('gateway')[0]!.pid!,
  };
  const samples: Record<keyof typeof pids, Sample[]> = { worker: [], coordinator: [], gateway: [] };
  const shared: { consumers: string[]; connections: number }[] = [];

  const run = await system.train(RECIPE);
  for (let step = SETTLED_STEP; step <= 200; step += SAMPLE_EVERY_STEPS) {
    await run.until(`step ${step}`, (events) => events.some((event) => event.kind === 'STEP_COMMITTED' && event.step === step));
    for (const name of ['worker', 'coordinator', 'gateway'] as const) samples[name].push({ step, ...footprintOf(pids[name]) });
    if (step % 70 === 60) shared.push({ consumers: await consumersOf(parts.nats.url), connections: await connectionsOf(system) });
  }
  await run.ended();
  for (const name of ['worker', 'coordinator', 'gateway'] as const)
    expectFlat(name, samples[name], name === 'worker' ? (steps) => steps * WORKER_LIMIT_BYTES_PER_STEP : () => SERVICE_LIMIT_BYTES);
  for (const later of shared.slice(1)) {
    expect(later.consumers).toEqual(shared[0]?.consumers);
    expect(later.connections).toBeLessThanOrEqual((shared[0]?.connections ?? 0) + 2);
  }
});

/** The second half beside the first, by their medians. */
function expectFlat(name: string, samples: readonly Sample[], limitBytes: (steps: number) => number): void {
  const half = Math.floor(samples.length / 2);
  const early = samples.slice(0, half);
  const late = samples.slice(-half);
  const growth = (of: (sample: Sample) => number) => median(late.map(of)) - median(early.map(of));
  const told = `${name}: ${samples.map(({ step, residentBytes, handles, threads }) => `@${step} ${Math.round(residentBytes / MIB)} MiB ${handles} handles ${threads} threads`).join(', ')}`;
  expect(
    growth(({ residentBytes }) => residentBytes),
    told,
  ).toBeLessThan(limitBytes(growth(({ step }) => step)));
  expect(
    growth(({ handles }) => handles),
    told,
  ).toBeLessThanOrEqual(4);
  expect(
    growth(({ sockets }) => sockets),
    told,
  ).toBeLessThanOrEqual(4);
  expect(
    growth(({ threads }) => threads),
    told,
  ).toBeLessThanOrEqual(1);
}

async function consumersOf(url: string): Promise<string[]> {
  const admin = inject('stack').nats.users['admin'];
  const connection = await connect({ servers: [url], user: admin?.user ?? '', pass: admin?.password ?? '' });
  try {
    const manager = await connection.jetstreamManager();
    const names: string[] = [];
    for await (const stream of manager.streams.list())
      for await (const consumer of manager.consumers.list(stream.config.name)) names.push(nameOf(consumer));
    return names.sort();
  } finally {
    await connection.close();
  }
}

const nameOf = ({ stream_name: stream, name }: ConsumerInfo) => `${stream}/${name}`;

/** Of everybody to Postgres. */
async function connectionsOf({ database }: FaultSystem): Promise<number> {
  const rows = await database.query('connections', `select count(*) as n from pg_stat_activity where application_name = 'roentgen'`);
  return z.tuple([z.object({ n: z.number() })]).parse(rows)[0].n;
}
