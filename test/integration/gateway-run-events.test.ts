import { CloseCode, type Client } from 'graphql-ws';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { newId, uuidOf, type RunEvent, type RunId } from '@roentgen/domain';
import { Gateway } from '@roentgen/gateway';
import { silentLogger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { LiveRunEvents } from '@roentgen/protocol';
import { randomNumbers } from '../testkit/seed.js';
import { at, useGateway, type TestToken } from './gateway-harness.js';

const SUBSCRIPTION =
  'subscription ($runId: ID!, $after: SafeInt!) { trainingRunEvents(runId: $runId, afterSequence: $after) { sequence eventId kind } }';

const harness = useGateway();
let coordinator: Bus;
const clients: Client[] = [];

beforeEach(async () => {
  const stack = inject('stack');
  const { subjectPrefix } = harness().config.nats;
  const password = stack.nats.users['coordinator']?.password ?? '';
  coordinator = await Bus.connect(
    { servers: [stack.nats.url], user: 'coordinator', password, subjectPrefix, role: 'coordinator', name: 'test', startupTimeoutMs: 5_000 },
    silentLogger,
  );
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.dispose()));
  await coordinator.close();
  await vi.waitFor(() => expect(harness().gateway.subscriberCount).toBe(0));
});

const publish = (runId: RunId, events: readonly RunEvent[]) => coordinator.publish(LiveRunEvents, [runId], { runId, events: [...events] });
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function subscribe(token: TestToken, runId: string, after = 0) {
  const client = harness().socket(token);
  clients.push(client);
  const values = client.iterate({ query: SUBSCRIPTION, variables: { runId, after } });
  return {
    client,
    /** The next sequences, fewer when the stream ends or breaks before. */
    async take(count: number): Promise<number[]> {
      const sequences: number[] = [];
      while (sequences.length < count) {
        const { value, done } = await values.next().catch(() => ({ value: undefined, done: true }));
        if (done === true) break;
        sequences.push(Number(at(value, 'data.trainingRunEvents.sequence')));
      }
      return sequences;
    },
    next: () => values.next(),
  };
}

test('1,000 events with lost live messages and a subscriber that comes and goes: 1 to 1,000, none missing, none twice', async () => {
  const run = await harness().makeRun();
  const random = randomNumbers(3);
  let written = 0;
  const writing = (async () => {
    while (written < 999) {
      const count = Math.min(1 + Math.floor(random() * 40), 999 - written);
      const events = await harness().appendEvents(
        run.runId,
        range(written + 1, written + count).map((n) => `e${n}`),
      );
      written += count;
      // Two thirds arrive, some of those in the wrong order and some again.
      if (random() < 0.66) publish(run.runId, events);
      if (random() < 0.15) publish(run.runId, events.slice(-3));
    }
    await harness().appendEvents(run.runId, ['last'], 'RUN_SUCCEEDED');
  })();

  const received: number[] = [];
  while (received.at(-1) !== 1_000) {
    const { take, client } = subscribe(run, run.runId, received.at(-1) ?? 0);
    received.push(...(await take(1 + Math.floor(random() * 120))));
    // Half leave politely, half by a broken connection.
    if (random() < 0.5) client.terminate();
    else await client.dispose();
  }
  await writing;
  expect(received).toEqual(range(1, 1_000));
});

test('a live event reaches the subscriber without a read of the log', async () => {
  const run = await harness().makeRun();
  publish(run.runId, await harness().appendEvents(run.runId, ['e1']));
  const { take } = subscribe(run, run.runId);
  expect(await take(1)).toEqual([1]);
  const next = take(2);
  publish(run.runId, await harness().appendEvents(run.runId, ['e2', 'e3']));
  expect(await next).toEqual([2, 3]);
});

test('when nobody announces anything, the head beat brings the events', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1']);
  const { take } = subscribe(run, run.runId);
  expect(await take(1)).toEqual([1]);
  await harness().appendEvents(run.runId, ['e2']);
  expect(await take(1)).toEqual([2]);
});

test('the stream ends with the run, and is over at once for a run that has ended', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1']);
  await harness().appendEvents(run.runId, ['e2'], 'RUN_FAILED');
  await harness().database.query('end', `update training_runs set status = 'FAILED', finished_at = now() where head_sequence = 2`);
  const whole = subscribe(run, run.runId);
  expect(await whole.take(2)).toEqual([1, 2]);
  expect((await whole.next()).done).toBe(true);
  expect((await subscribe(run, run.runId, 2).next()).done).toBe(true);
});

test('a subscriber that is ahead of a restored log is told so, now and when it comes again', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1', 'e2', 'e3']);
  const { take, next } = subscribe(run, run.runId);
  expect(await take(3)).toEqual([1, 2, 3]);
  const { database } = harness();
  await database.transaction('restore', async (tx) => {
    await tx.query('events', 'delete from run_events where run_id = $1 and sequence > 1', [uuidOf(run.runId)]);
    await tx.query('head', 'update training_runs set head_sequence = 1 where id = $1', [uuidOf(run.runId)]);
  });
  await expect(next()).rejects.toMatchObject([{ message: expect.stringContaining('afterSequence 0'), extensions: { code: 'CONFLICT' } }]);
  await expect(subscribe(run, run.runId, 3).next()).resolves.toMatchObject({
    value: { errors: [{ message: expect.stringContaining('lies ahead'), extensions: { code: 'INVALID_INPUT' } }] },
  });
  expect(await subscribe(run, run.runId).take(1)).toEqual([1]);
  const ahead = `{ trainingRunEvents(runId: "${run.runId}", afterSequence: 3) { sequence } }`;
  expect((await harness().raw(run, ahead)).body.errors).toMatchObject([
    { message: expect.stringContaining('begin with 0'), extensions: { code: 'INVALID_INPUT' } },
  ]);
});

test('a client that leaves while nothing happens leaves nothing behind', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1']);
  const gone = [subscribe(run, run.runId), subscribe(run, run.runId), subscribe(run, run.runId)];
  for (const subscriber of gone) expect(await subscriber.take(1)).toEqual([1]);
  expect(harness().gateway.subscriberCount).toBe(3);
  gone[0]?.client.terminate();
  await gone[1]?.client.dispose();
  await vi.waitFor(() => expect(harness().gateway.subscriberCount).toBe(1));
});

test('events of another project, of no run, and sequences that are not there yet are refused', async () => {
  const [mine, theirs] = [await harness().makeRun(), await harness().makeRun()];
  const refusal = async (runId: string, after = 0) =>
    at(
      (
        await subscribe(mine, runId, after)
          .next()
          .catch((error: unknown) => ({ value: { errors: error } }))
      ).value,
      'errors.0.extensions.code',
    );
  expect(await refusal(theirs.runId)).toBe('NOT_FOUND');
  expect(await refusal(newId('run'))).toBe('NOT_FOUND');
  expect(await refusal('run_1')).toBe('INVALID_INPUT');
  expect(await refusal(mine.runId, 5)).toBe('INVALID_INPUT');
  expect(await refusal(mine.runId, -1)).toBe('INVALID_INPUT');
});

test('a revoked token ends a subscription that is under way, and begins nothing more', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1']);
  const { take, next } = subscribe(run, run.runId);
  expect(await take(1)).toEqual([1]);
  const ended = next();
  await harness().database.query('revoke', 'update api_tokens set revoked_at = now() where project_id = $1', [run.projectId.slice(4)]);
  await expect(ended).rejects.toMatchObject({ code: CloseCode.Forbidden });
  await expect(subscribe(run, run.runId).next()).rejects.toMatchObject({ code: CloseCode.Forbidden });
});

test('a gateway that closes sends its subscribers away to come back, it does not tell them that the run has ended', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1']);
  const leaving = await Gateway.create(harness().config);
  await leaving.start();
  const client = harness().socket(run, leaving.url);
  const events = client.iterate({ query: SUBSCRIPTION, variables: { runId: run.runId, after: 0 } });
  expect(at((await events.next()).value, 'data.trainingRunEvents.sequence')).toBe(1);
  const ended = events.next().catch((error: unknown) => error);
  await leaving.close();
  expect(await ended).toMatchObject({ code: 1001 });
  expect(leaving.subscriberCount).toBe(0);
});

test('BI tools read the same events as a table', async () => {
  const run = await harness().makeRun();
  await harness().appendEvents(run.runId, ['e1', 'e2', 'e3']);
  const query =
    'query ($runId: ID!) { trainingRunEvents(runId: $runId, afterSequence: 1, first: 1) { runId sequence eventId kind status metrics { name } failureCode checkpointId } }';
  expect(await harness().ask(run, query, { runId: run.runId })).toEqual({
    trainingRunEvents: [
      {
        runId: run.runId,
        sequence: 2,
        eventId: 'e2',
        kind: 'STEP_COMMITTED',
        status: null,
        metrics: [],
        failureCode: null,
        checkpointId: null,
      },
    ],
  });
});
