import { randomBytes } from 'node:crypto';
import { importDataset, trainingRun, watchRun } from '@roentgen/client';
import { startStack, type PartName, type Stack } from '@roentgen/local-stack';
import { ROLE_PERMISSIONS, SERVICE_ROLES } from '@roentgen/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { TEST_BUCKET_PATTERN } from '../testkit/global-stack.js';
import { rawGraphql } from '../testkit/graphql-client.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { OtlpCollector, type CollectedSpan } from '../testkit/otlp-collector.js';
import { parseMetrics, valueOf, type MetricFamily } from '../testkit/prometheus-text.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

const RECIPE = { variant: 'B0', imageSizePx: 32, epochs: 2, globalBatchSize: 8, microBatchSize: 8, seed: 3 };
const eventually = { timeout: 60_000, interval: 50 };
const SERVICES = ['gateway', 'coordinator', 'worker-1'];
/** The caller's own trace, as it sends it with the mutation. */
const CALLER = { trace: randomBytes(16).toString('hex'), span: randomBytes(8).toString('hex') };

let collector: OtlpCollector;
/** Of this file's own: its parts are stopped. */
let stack: Stack;
let system: System;
let runId: `run_${string}`;

beforeAll(async () => {
  [collector, stack] = await Promise.all([OtlpCollector.open(), ownStack()]);
  system = await startSystem(stack, {
    environment: {
      ...{ GATEWAY_HEALTH_PORT: '0', COORDINATOR_HEALTH_PORT: '0', WORKER_HEALTH_PORT: '0' },
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, WORKER_INTRA_OP_THREADS: '1' },
      // The coordinator looks when it is woken: a look of its own between the commit and the message would not know the trace yet.
      ...{ COORDINATOR_TICK_MS: '10000', COORDINATOR_LEASE_MS: '60000' },
    },
  });
  const images = await syntheticDataset({ images: 40, patients: 16 });
  const { datasetVersionId } = await importDataset(system.client, { name: 'chests', files: importFiles(images), split: SPLIT });
  await vi.waitFor(
    async () => expect(valueOf(await scrape('coordinator'), 'roentgen_workers_alive', { state: 'IDLE' })).toBe(1),
    eventually,
  );
  runId = await startTracedRun(datasetVersionId);
  for await (const _ of watchRun(system.client, runId));
});
afterAll(async () => {
  await system.close();
  await Promise.all([stack.stop(), collector[Symbol.asyncDispose]()]);
});

test('after a run every service has counted what it did, in a format that Prometheus reads', async () => {
  const run = await trainingRun(system.client, runId);
  expect(run).toMatchObject({ status: 'SUCCEEDED', epoch: 2 });
  const steps = run.committedStep;
  expect(steps).toBeGreaterThan(2);

  const worker = await vi.waitFor(async () => {
    const found = await scrape('worker-1');
    expect(valueOf(found, 'roentgen_worker_attempts_total', { outcome: 'succeeded' })).toBe(1);
    return found;
  }, eventually);
  expect(valueOf(worker, 'roentgen_worker_steps_total')).toBe(steps);
  expect(valueOf(worker, 'roentgen_worker_images_total')).toBe(steps * RECIPE.globalBatchSize);
  for (const part of ['input', 'gradients', 'all_reduce', 'apply']) {
    expect(valueOf(worker, 'roentgen_worker_step_duration_seconds_count', { part })).toBe(steps);
  }
  expect(valueOf(worker, 'roentgen_worker_evaluation_duration_seconds_count')).toBe(RECIPE.epochs);
  expect(valueOf(worker, 'roentgen_worker_checkpoint_upload_duration_seconds_count')).toBe(RECIPE.epochs);
  expect(valueOf(worker, 'roentgen_worker_image_cache_lookups_total', { result: 'hit' })).toBeGreaterThan(0);
  expect(valueOf(worker, 'roentgen_worker_chunk_duration_seconds_count', { kind: 'inspect', outcome: 'done' })).toBeGreaterThan(0);
  expect(valueOf(worker, 'roentgen_worker_outbox_events')).toBe(0);
  expect(valueOf(worker, 'roentgen_worker_state', { state: 'IDLE' })).toBe(1);
  expect(valueOf(worker, 'roentgen_worker_eligible')).toBe(1);

  const coordinator = await vi.waitFor(async () => {
    const found = await scrape('coordinator');
    expect(valueOf(found, 'roentgen_runs_finished_total', { state: 'SUCCEEDED', cause: 'NONE' })).toBe(1);
    return found;
  }, eventually);
  expect(valueOf(coordinator, 'roentgen_events_recorded_total', { kind: 'STEP_COMMITTED' })).toBe(steps);
  expect(valueOf(coordinator, 'roentgen_attempts_offered_total')).toBe(1);
  expect(valueOf(coordinator, 'roentgen_attempts_ended_total', { status: 'SUCCEEDED', cause: 'NONE' })).toBe(1);
  expect(valueOf(coordinator, 'roentgen_run_lease_renewals_total')).toBeGreaterThan(0);
  expect(valueOf(coordinator, 'roentgen_coordinator_tick_duration_seconds_count', { loop: 'runs', outcome: 'ok' })).toBeGreaterThan(0);
  expect(valueOf(coordinator, 'roentgen_runs_open', { state: 'RUNNING' })).toBe(0);
  expect(valueOf(coordinator, 'roentgen_runs_queued_oldest_age_seconds')).toBe(0);

  const gateway = await scrape('gateway');
  const started = { type: 'mutation', field: 'startTrainingRun', transport: 'http', outcome: 'ok' };
  expect(valueOf(gateway, 'roentgen_graphql_requests_total', started)).toBe(1);
  expect(valueOf(gateway, 'roentgen_graphql_request_duration_seconds_count', { type: 'mutation', field: 'startTrainingRun' })).toBe(1);
  const watched = { type: 'subscription', field: 'trainingRunEvents', transport: 'websocket', outcome: 'ok' };
  expect(valueOf(gateway, 'roentgen_graphql_requests_total', watched)).toBe(1);
  expect(valueOf(gateway, 'roentgen_graphql_subscriptions_open')).toBe(0);
  for (const families of [worker, coordinator, gateway]) {
    expect(valueOf(families, 'process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(valueOf(families, 'roentgen_nats_connected')).toBe(1);
  }
});

test('no label holds an id or a name that a user gave, however requests are called', async () => {
  await ask(`query Mine_${runId} { mine: trainingRun(id: "${runId}") { status } }`);
  const refused = await ask('query Broken { thereIsNoSuchField }');
  expect(refused.body.errors).toHaveLength(1);
  const gateway = await scrape('gateway');
  const about = (field: string, type: string, outcome: string) => ({ type, field, transport: 'http', outcome });
  expect(valueOf(gateway, 'roentgen_graphql_requests_total', about('trainingRun', 'query', 'ok'))).toBeGreaterThan(0);
  expect(valueOf(gateway, 'roentgen_graphql_requests_total', about('unknown', 'unknown', 'refused'))).toBe(1);
  const all = (await Promise.all(SERVICES.map((name) => scrape(name)))).flatMap((families) => [...families.values()]);
  const values = all.flatMap(({ samples }) => samples.flatMap(({ labels }) => Object.values(labels)));
  expect(values.filter((value) => /[a-z]{3}_[0-9a-f]{32}|chests|Mine|thereIsNoSuchField/.test(value))).toEqual([]);
});

test('one trace holds the mutation, its dispatch and the attempt, over three processes', async () => {
  const spans = await vi.waitFor(() => {
    const found = collector.spans.filter(({ traceId }) => traceId === CALLER.trace);
    expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining(['mutation startTrainingRun', 'dispatch attempt', 'attempt']));
    return found;
  }, eventually);
  const only = (name: string): CollectedSpan => {
    const [span, second] = spans.filter((each) => each.name === name);
    if (span === undefined || second !== undefined) throw new Error(`not one span "${name}"`);
    return span;
  };
  const [mutation, dispatch, attempt] = [only('mutation startTrainingRun'), only('dispatch attempt'), only('attempt')];
  expect([mutation, dispatch, attempt].map(({ service }) => service)).toEqual([
    'roentgen-gateway',
    'roentgen-coordinator',
    'roentgen-worker',
  ]);
  expect([mutation, dispatch, attempt].map(({ parentSpanId }) => parentSpanId)).toEqual([CALLER.span, mutation.spanId, dispatch.spanId]);
  expect(dispatch.attributes).toMatchObject({ 'roentgen.run.id': runId, 'roentgen.worker.name': 'worker-1' });
  expect(attempt.attributes).toMatchObject({ 'roentgen.run.id': runId, 'roentgen.outcome': 'succeeded' });

  const epochs = spans.filter(({ name }) => name === 'epoch');
  expect(epochs.map(({ parentSpanId }) => parentSpanId)).toEqual([attempt.spanId, attempt.spanId]);
  for (const name of ['evaluation', 'checkpoint upload']) {
    const parts = spans.filter((span) => span.name === name);
    expect(parts.map(({ parentSpanId }) => parentSpanId).sort()).toEqual(epochs.map(({ spanId }) => spanId).sort());
    for (const part of parts) expect(part.endTimeUnixNano).toBeGreaterThanOrEqual(part.startTimeUnixNano);
  }
  // Not one per step.
  expect(spans).toHaveLength(3 + 3 * RECIPE.epochs);
});

test('the end of the run is one line of log, with what an operator wants to know of it', async () => {
  const run = await trainingRun(system.client, runId);
  const lines = ['gateway', 'coordinator'].flatMap((name) => system.logOf(name)).filter(({ msg }) => msg === 'run finished');
  expect(lines).toMatchObject([
    {
      ...{ service: 'coordinator', runId, state: 'SUCCEEDED', cause: null, epochs: 2, steps: run.committedStep, attempts: 1 },
      ...{ imagesPerSecond: expect.any(Number) as number, durationSeconds: expect.any(Number) as number },
      best: { metric: 'val/auroc', value: expect.any(Number) as number, step: expect.any(Number) as number },
    },
  ]);
  expect(lines[0]?.imagesPerSecond).toBeGreaterThan(0);
});

test.each<[PartName, Record<string, number>]>([
  ['nats', { gateway: 503, coordinator: 503, 'worker-1': 503 }],
  ['postgres', { gateway: 503, coordinator: 503, 'worker-1': 200 }],
  ['store', { gateway: 200, coordinator: 503, 'worker-1': 503 }],
])('while %s is away those that need it are not ready, and say so; then they are again', async (part, expected) => {
  await vi.waitFor(async () => expect(await readiness()).toEqual({ gateway: 200, coordinator: 200, 'worker-1': 200 }), eventually);
  const stopped = stack.processes().find(({ name }) => name === part);
  await stopped?.kill('SIGKILL');
  await vi.waitFor(async () => expect(await readiness()).toEqual(expected), eventually);
  for (const name of SERVICES.filter((each) => expected[each] === 503)) {
    const { dependencies } = await reportOf(name);
    const down = dependencies.filter(({ state }) => state === 'DOWN');
    expect(down.map((each) => each.name)).toEqual([part]);
    expect(down[0]?.reason).toMatch(/\w/);
    expect((await fetch(`${system.healthUrls.get(name)}/healthz`)).status).toBe(200);
    // What cannot be found out now is left out; the scrape itself stands.
    const families = await scrape(name);
    expect(valueOf(families, 'roentgen_runs_open', { state: 'QUEUED' })).toBe(
      name === 'coordinator' && part !== 'postgres' ? 0 : undefined,
    );
  }
  const before = valueOf(await scrape('gateway'), 'roentgen_nats_reconnects_total') ?? 0;
  await stopped?.restart();
  await vi.waitFor(async () => expect(await readiness()).toEqual({ gateway: 200, coordinator: 200, 'worker-1': 200 }), eventually);
  await vi.waitFor(async () => {
    expect(valueOf(await scrape('gateway'), 'roentgen_nats_reconnects_total')).toBe(before + (part === 'nats' ? 1 : 0));
  }, eventually);
});

test('a run that is cancelled while it waits is logged by the gateway that ended it', async () => {
  await system.workers[0]!.stop();
  const { datasetVersionId } = await trainingRun(system.client, runId);
  const waiting = await startTracedRun(datasetVersionId);
  await ask(`mutation { cancelTrainingRun(input: { runId: "${waiting}" }) { ok } }`);
  await vi.waitFor(() => {
    const lines = ['gateway', 'coordinator']
      .flatMap((name) => system.logOf(name))
      .filter(({ msg, runId: of }) => msg === 'run finished' && of === waiting);
    expect(lines).toMatchObject([{ service: 'gateway', state: 'CANCELLED', code: 'CANCELLED_BY_USER', steps: 0, attempts: 0, best: null }]);
  }, eventually);
});

function ownStack(): Promise<Stack> {
  const natsUsers = SERVICE_ROLES.map((name) => ({ name, permissions: ROLE_PERMISSIONS[name] }));
  return startStack({ profile: 'ephemeral', natsUsers, bucket: TEST_BUCKET_PATTERN });
}

function ask(query: string, variables: unknown = {}) {
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${system.adminToken}`,
    traceparent: `00-${CALLER.trace}-${CALLER.span}-${query.includes('StartTrainingRunInput') ? '01' : '00'}`,
  };
  return rawGraphql(system.url, query, { variables, headers });
}

async function startTracedRun(datasetVersionId: string): Promise<`run_${string}`> {
  const query = 'mutation ($input: StartTrainingRunInput!) { startTrainingRun(input: $input) { run { id } error { message } } }';
  const { body } = await ask(query, { input: { datasetVersionId, recipe: RECIPE } });
  const schema = z.object({ startTrainingRun: z.object({ run: z.object({ id: z.templateLiteral(['run_', z.string()]) }) }) });
  return schema.parse(body.data).startTrainingRun.run.id;
}

async function scrape(name: string): Promise<Map<string, MetricFamily>> {
  const response = await fetch(`${system.healthUrls.get(name)}/metrics`);
  expect(response.status).toBe(200);
  return parseMetrics(await response.text());
}

const ReportSchema = z.object({
  ready: z.boolean(),
  dependencies: z.array(z.object({ name: z.string(), state: z.enum(['UP', 'DOWN']), reason: z.string().nullable() })),
});

async function reportOf(name: string): Promise<z.infer<typeof ReportSchema>> {
  return ReportSchema.parse(await (await fetch(`${system.healthUrls.get(name)}/readyz`)).json());
}

/** Status of every service's readiness. */
async function readiness(): Promise<Record<string, number>> {
  const statuses = await Promise.all(SERVICES.map(async (name) => [name, (await fetch(`${system.healthUrls.get(name)}/readyz`)).status]));
  return Object.fromEntries(statuses) as Record<string, number>;
}
