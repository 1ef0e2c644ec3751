import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import type { RunId } from '@roentgen/domain';
import { eventually } from './coordinator-harness.js';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { makeChestDataset, startRun } from './gateway-scenes.js';
import { Backstage } from '../testkit/backstage.js';
import type { ScriptedWorker } from '../testkit/scripted-worker.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;
let backstage: Backstage;
let ill: ScriptedWorker;
let good: ScriptedWorker;

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
  backstage = new Backstage(inject('stack'), harness().config);
});
afterAll(() => backstage.close());

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

  await backstage.startCoordinator();
  await whyBecomes(first, { code: 'NO_WORKERS' });

  ill = await backstage.startWorker('ill');
  ill.runtime = { ...runtime, ineligibleReason: 'its self-test failed (parity).' };
  await whyBecomes(first, {
    code: 'NO_ELIGIBLE_WORKER',
    message: 'No worker can be given it: ill takes no work: its self-test failed (parity).',
    workers: [{ name: 'ill', code: 'INELIGIBLE', message: 'takes no work: its self-test failed (parity).' }],
  });

  good = await backstage.startWorker('good');
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

  const worker = await backstage.startWorker('followed');
  await vi.waitFor(
    () => expect(latest('followed')).toMatchObject({ online: true, state: 'IDLE', holds: [], whyIdle: 'There is nothing to do.' }),
    eventually,
  );
  for (const other of [ill, good]) other.refusal = 'busy with a test';
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
