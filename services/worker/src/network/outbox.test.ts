import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DatabaseFullError, RoentgenError, StaleTokenError, UnavailableError, type RunEventInput } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { EventOutbox, type OutboxOptions } from './outbox.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A recorder that answers as told, and what it was sent. */
function recorder(answers: (Error | 'ok' | 'never')[] = []) {
  const batches: RunEventInput[][] = [];
  const send = async (events: RunEventInput[]): Promise<void> => {
    batches.push([...events]);
    const answer = answers.shift() ?? 'ok';
    if (answer === 'never') await new Promise(() => undefined);
    if (answer instanceof Error) throw answer;
  };
  return { batches, send, ids: () => batches.map((batch) => batch.map((event) => event.eventId.split('/')[2])) };
}

const outbox = (send: OutboxOptions['send'], options: Partial<OutboxOptions> = {}) =>
  new EventOutbox({ send, producer: 'att/wkr', onRefused: (error) => expect.unreachable(error.message), logger: silentLogger, ...options });

const step = (n: number): Omit<RunEventInput, 'eventId'> => ({
  kind: 'STEP_COMMITTED',
  occurredAt: '2025-01-01T00:00:00.000Z',
  attemptId: null,
  workerId: null,
  epoch: 1,
  step: n,
  status: null,
  message: null,
  metrics: [],
  checkpoint: null,
  failure: null,
});

test('events are numbered in the order of their making and leave together within 100 ms', async () => {
  const { send, batches, ids } = recorder();
  const events = outbox(send);
  for (const n of [1, 2, 3]) await events.add(step(n));
  await vi.advanceTimersByTimeAsync(99);
  expect(batches).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ids()).toEqual([['1', '2', '3']]);
  expect(batches[0]![0]!.eventId).toBe('att/wkr/1');
  expect(events.pending).toBe(0);
});

test('a full batch leaves at once, and only one is on its way', async () => {
  const { send, ids } = recorder(['never']);
  const events = outbox(send, { batchSize: 2 });
  for (const n of [1, 2, 3, 4, 5]) await events.add(step(n));
  await vi.advanceTimersByTimeAsync(1000);
  expect(ids()).toEqual([['1', '2']]);
  expect(events.pending).toBe(5);
});

test('what is not confirmed is sent again with the same ids, however long it takes, and nothing overtakes it', async () => {
  const { send, ids } = recorder([new Error('timeout'), new UnavailableError('no coordinator'), new Error('no responders'), 'ok']);
  const events = outbox(send, { batchSize: 2, firstRetryMs: 100, longestRetryMs: 200 });
  for (const n of [1, 2, 3]) await events.add(step(n));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ids()).toEqual([['1', '2'], ['1', '2'], ['1', '2'], ['1', '2'], ['3']]);
});

test('why nothing is recorded is told with each try, and once that it is again', async () => {
  const full = new DatabaseFullError('no room');
  const { send } = recorder([full, full]);
  const told: (Error | null)[] = [];
  const events = outbox(send, { firstRetryMs: 100, longestRetryMs: 100, onHeldUp: (cause) => told.push(cause) });
  await events.add(step(1));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toEqual([full, full, null]);
  expect(events.pending).toBe(0);
});

test('when the connection is back the next try does not wait', async () => {
  const { send, batches } = recorder([new Error('timeout')]);
  const events = outbox(send, { batchSize: 1, firstRetryMs: 60_000, longestRetryMs: 60_000 });
  await events.add(step(1));
  await vi.advanceTimersByTimeAsync(10);
  events.retryNow();
  await vi.advanceTimersByTimeAsync(0);
  expect(batches).toHaveLength(2);
});

test('a full outbox holds up whoever adds the next event until there is room', async () => {
  const { send } = recorder([new Error('timeout')]);
  const events = outbox(send, { capacity: 3, batchSize: 2, firstRetryMs: 500 });
  let added = 0;
  const training = (async () => {
    for (let n = 1; n <= 6; n++) {
      await events.add(step(n));
      added = n;
    }
  })();
  await vi.advanceTimersByTimeAsync(400);
  expect(added).toBe(2);
  expect(events.pending).toBe(3);
  await vi.advanceTimersByTimeAsync(2000);
  await training;
  expect(added).toBe(6);
  expect(events.pending).toBe(0);
});

test('an attempt that was given to another worker is left, and nothing more is sent for it', async () => {
  const refused: Error[] = [];
  const { send, batches } = recorder([new StaleTokenError('the attempt belongs to another worker')]);
  const events = outbox(send, { onRefused: (error) => refused.push(error), capacity: 1 });
  const heldUp = events.add(step(1));
  await vi.advanceTimersByTimeAsync(200);
  await heldUp;
  expect(refused.map((error) => error.message)).toEqual(['the attempt belongs to another worker']);
  await events.add(step(2));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(batches).toHaveLength(1);
  await events.drained();
});

test('draining sends at once and ends when the last event is confirmed', async () => {
  const { send, batches } = recorder([new Error('timeout')]);
  const events = outbox(send, { firstRetryMs: 100 });
  await events.add(step(1));
  let drained = false;
  const draining = events.drained().then(() => (drained = true));
  await vi.advanceTimersByTimeAsync(0);
  expect(batches).toHaveLength(1);
  expect(drained).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  await draining;
  expect(batches).toHaveLength(2);
});

class MessageTooLarge extends RoentgenError {
  readonly code = 'MESSAGE_TOO_LARGE';
}

/** Takes so many events in one message. */
function narrow(most: (events: readonly RunEventInput[]) => boolean) {
  const recorded: string[] = [];
  const send = (events: RunEventInput[]) => {
    if (!most(events)) return Promise.reject(new MessageTooLarge('2.1 MB of 2 MiB'));
    recorded.push(...events.map(({ eventId }) => eventId));
    return Promise.resolve();
  };
  return { send, recorded };
}

test('events that are too large together go in smaller batches, in order, each once', async () => {
  const { send, recorded } = narrow((events) => events.length <= 2);
  const events = outbox(send, { onRefused: (error) => expect.unreachable(error.message) });
  for (let n = 1; n <= 7; n++) await events.add(step(n));
  const draining = events.drained();
  await vi.advanceTimersByTimeAsync(1_000);
  await draining;
  expect(recorded).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `att/wkr/${n}`));
});

test('an event that is too large by itself ends the attempt with the reason, after those before it', async () => {
  const refused: Error[] = [];
  const { send, recorded } = narrow((events) => events.every(({ step: at }) => at !== 3));
  const events = outbox(send, { onRefused: (error) => refused.push(error) });
  for (let n = 1; n <= 5; n++) await events.add(step(n));
  const draining = events.drained();
  await vi.advanceTimersByTimeAsync(1_000);
  await draining;
  expect(recorded).toEqual(['att/wkr/1', 'att/wkr/2']);
  expect(refused).toMatchObject([{ code: 'MESSAGE_TOO_LARGE' }]);
});
