import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { Coordinator, readConfig } from '@roentgen/coordinator';
import type { RunId } from '@roentgen/domain';
import { eventually } from './coordinator-harness.js';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { makeChestDataset, startRun } from './gateway-scenes.js';
import { ScriptedWorker } from '../testkit/scripted-worker.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;
let coordinator: Coordinator | undefined;
const workers: ScriptedWorker[] = [];

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await coordinator?.close();
});

/** One on the database and the subjects of the gateway. */
async function startCoordinator(): Promise<Coordinator> {
  const stack = inject('stack');
  const { postgres, nats, store } = harness().config;
  const started = await Coordinator.create(
    readConfig({
      ...{
        POSTGRES_URL: postgres.url,
        POSTGRES_SCHEMA: postgres.schema,
        NATS_URL: stack.nats.url,
        NATS_SUBJECT_PREFIX: nats.subjectPrefix,
      },
      ...{ NATS_USER: 'coordinator', NATS_PASSWORD: stack.nats.users['coordinator']?.password ?? '' },
      ...{ S3_ENDPOINT: store.endpoint, S3_ACCESS_KEY: store.accessKey, S3_SECRET_KEY: store.secretKey, S3_BUCKET: store.bucket },
      ...{ LOG_LEVEL: 'silent', COORDINATOR_TICK_MS: '50', COORDINATOR_WORKER_LOST_MS: '600' },
    }),
  );
  await started.start();
  return started;
}

async function startWorker(name: string): Promise<ScriptedWorker> {
  const { nats } = inject('stack');
  const { subjectPrefix } = harness().config.nats;
  const worker = await ScriptedWorker.start(name, {
    ...{ servers: [nats.url], user: 'worker', password: nats.users['worker']?.password ?? '', subjectPrefix },
  });
  workers.push(worker);
  return worker;
}

const runtime = { memoryBudgetBytes: null, memoryScale: 1, intraOpThreads: 0, interOpThreads: 0, xla: false, deterministicOps: false };
const WHY = '{ whyWaiting { code message until workers { name code message } } status }';

async function why(runId: RunId): Promise<unknown> {
  return at(await harness().ask(token, `{ trainingRun(id: "${runId}") ${WHY} }`), 'trainingRun.whyWaiting');
}
const whyBecomes = (runId: RunId, expected: object | null) =>
  vi.waitFor(
    async () => (expected === null ? expect(await why(runId)).toBeNull() : expect(await why(runId)).toMatchObject(expected)),
    eventually,
  );

test('a run tells at each moment why it does not go on, by what the scheduler decided', async () => {
  const first = await startRun(harness(), token, versionId);
  expect(await why(first)).toMatchObject({ code: 'NO_COORDINATOR', until: null, workers: [] });

  coordinator = await startCoordinator();
  await whyBecomes(first, { code: 'NO_WORKERS' });

  const ill = await startWorker('ill');
  ill.runtime = { ...runtime, ineligibleReason: 'its self-test failed (parity).' };
  await whyBecomes(first, {
    code: 'NO_ELIGIBLE_WORKER',
    message: 'No worker can be given it: ill takes no work: its self-test failed (parity).',
    workers: [{ name: 'ill', code: 'INELIGIBLE', message: 'takes no work: its self-test failed (parity).' }],
  });

  const good = await startWorker('good');
  const offer = await good.nextOffer();
  expect(offer.runId).toBe(first);
  await whyBecomes(first, null);

  const second = await startRun(harness(), token, versionId);
  await whyBecomes(second, {
    code: 'WORKERS_BUSY',
    workers: [
      { name: 'good', code: 'BUSY', message: 'trains another run.' },
      { name: 'ill', code: 'INELIGIBLE' },
    ],
  });

  await harness().ask(token, `mutation { pauseTrainingRun(input: { runId: "${first}" }) { ok } }`);
  expect(await why(first)).toMatchObject({
    code: 'WORKER_LEAVING',
    message: expect.stringMatching(/^Paused by token "test admin"\. Worker good ends its step/),
  });
  await good.report(offer, good.fact(offer, 'RUN_PAUSED'));
  good.letGo();
  await whyBecomes(first, { code: 'PAUSED', message: 'Paused by token "test admin". resumeTrainingRun queues it again.' });

  const next = await good.nextOffer();
  expect(next.runId).toBe(second);
  await good.report(
    next,
    good.fact(next, 'ATTEMPT_FAILED', { failure: { code: 'UNAVAILABLE', message: 'The object store is away.', details: {} } }),
  );
  good.letGo();
  await whyBecomes(second, {
    code: 'BACKING_OFF',
    message: expect.stringMatching(/^The object store is away\. It is tried again at 20/),
    until: expect.any(String) as string,
  });

  await harness().ask(token, `mutation { cancelTrainingRun(input: { runId: "${second}" }) { ok } }`);
  await whyBecomes(second, null);
});

const CHANGES = `subscription { workersChanged { snapshot gone workers { id name state online drainedAt whyIdle holds { kind runId attemptId chunkId } } } }`;

test('who follows the workers is given all of them, then what changes: what they hold, and that they are drained', async () => {
  coordinator ??= await startCoordinator();
  const client = harness().socket(token);
  const stranger = harness().socket(await harness().makeToken('viewer'));
  const heard: unknown[] = [];
  const elsewhere: unknown[] = [];
  const stops = [
    client.subscribe(
      { query: CHANGES },
      { next: ({ data }) => void heard.push(at(data, 'workersChanged')), error: () => undefined, complete: () => undefined },
    ),
    stranger.subscribe(
      { query: CHANGES },
      { next: ({ data }) => void elsewhere.push(at(data, 'workersChanged')), error: () => undefined, complete: () => undefined },
    ),
  ];
  await vi.waitFor(() => expect(heard[0]).toMatchObject({ snapshot: true }), eventually);
  const changesOf = (name: string, all = heard) =>
    all.flatMap((change) => {
      const found: unknown = at(change, 'workers');
      return (Array.isArray(found) ? found : []).filter((worker: unknown) => at(worker, 'name') === name);
    });
  const latest = (name: string) => changesOf(name).at(-1);

  const worker = await startWorker('followed');
  await vi.waitFor(
    () => expect(latest('followed')).toMatchObject({ online: true, state: 'IDLE', holds: [], whyIdle: 'There is nothing to do.' }),
    eventually,
  );
  for (const other of workers) if (other !== worker) other.refusal = 'busy with a test';
  const runId = await startRun(harness(), token, versionId);
  const offer = await worker.nextOffer();
  const holds = [{ kind: 'TRAINING', runId, attemptId: offer.attemptId, chunkId: null }];
  await vi.waitFor(() => expect(latest('followed')).toMatchObject({ state: 'TRAINING', whyIdle: null, holds }), eventually);

  const workerId = textAt(latest('followed'), 'id');
  await harness().ask(token, `mutation { drainWorker(input: { workerId: "${workerId}" }) { ok } }`);
  await vi.waitFor(() => expect(latest('followed')).toMatchObject({ drainedAt: expect.any(String) as string }), eventually);
  expect(at(heard[0], 'snapshot')).toBe(true);
  expect(heard.slice(1).every((change) => at(change, 'snapshot') === false)).toBe(true);

  expect(changesOf('followed', elsewhere).length).toBeGreaterThan(0);
  for (const change of changesOf('followed', elsewhere)) expect(at(change, 'holds'), 'another project’s run').toEqual([]);
  for (const stop of stops) stop();
  await vi.waitFor(() => expect(harness().gateway.subscriberCount).toBe(0), eventually);
  await Promise.all([client.dispose(), stranger.dispose()]);
});
