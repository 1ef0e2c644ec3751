import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RunEventSchema, newId, type RunEvent, type RunEventKind, type RunId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { RunEventFeed, type RunEventSource } from './run-event-feed.js';

const runId = newId('run');
const options = { headBeatMs: 1_000, pageSize: 10, maxBuffered: 20 };

/** A log in memory that can be away. */
class MemoryLog implements RunEventSource {
  readonly events: RunEvent[] = [];
  reads = 0;
  away = false;

  append(count: number, kind: RunEventKind = 'STEP_COMMITTED'): RunEvent[] {
    const added = Array.from({ length: count }, (_, i) => event(this.events.length + i + 1, kind));
    this.events.push(...added);
    return added;
  }

  async readAfter(_run: RunId, after: number, limit: number): Promise<RunEvent[]> {
    this.reads++;
    await Promise.resolve();
    if (this.away) throw new Error('the database is away');
    return this.events.slice(after, after + limit);
  }

  async heads(runIds: readonly RunId[]): Promise<Map<RunId, number>> {
    await Promise.resolve();
    if (this.away) throw new Error('the database is away');
    return new Map(runIds.map((id) => [id, this.events.length]));
  }
}

const event = (sequence: number, kind: RunEventKind = 'STEP_COMMITTED'): RunEvent =>
  RunEventSchema.parse({
    eventId: `e${sequence}`,
    kind,
    occurredAt: '2026-01-01T00:00:00Z',
    runId,
    sequence,
    recordedAt: '2026-01-01T00:00:00Z',
  });

async function take(source: AsyncIterator<RunEvent>, count: number): Promise<number[]> {
  const sequences: number[] = [];
  while (sequences.length < count) {
    const { value, done } = await source.next();
    if (done === true) break;
    sequences.push(value.sequence);
  }
  return sequences;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

let log: MemoryLog;
let feed: RunEventFeed;
beforeEach(() => {
  vi.useFakeTimers();
  log = new MemoryLog();
  feed = new RunEventFeed(log, silentLogger, options);
});
afterEach(async () => {
  await feed.close();
  vi.useRealTimers();
});

test('history comes first, in pages, then what happens live', async () => {
  log.append(25);
  const events = feed.subscribe(runId, 0);
  expect(await take(events, 25)).toEqual(range(1, 25));
  const next = take(events, 2);
  feed.publish(runId, log.append(2));
  expect(await next).toEqual([26, 27]);
});

test('whoever comes back gets what follows the last sequence it has', async () => {
  log.append(25);
  expect(await take(feed.subscribe(runId, 23), 2)).toEqual([24, 25]);
});

test('live events that come while history is being read are neither lost nor given twice', async () => {
  log.append(5);
  const events = feed.subscribe(runId, 0);
  const all = take(events, 8);
  feed.publish(runId, log.append(3));
  expect(await all).toEqual(range(1, 8));
});

test('live events that overlap, repeat or come in disorder are put right', async () => {
  log.append(3);
  const events = feed.subscribe(runId, 0);
  await take(events, 3);
  const [four, five, six] = log.append(3) as [RunEvent, RunEvent, RunEvent];
  const reads = log.reads;
  const all = take(events, 3);
  feed.publish(runId, [four]);
  feed.publish(runId, [four, five]);
  feed.publish(runId, [event(2), five, six]);
  expect(await all).toEqual([4, 5, 6]);
  void events.next();
  await vi.advanceTimersByTimeAsync(0);
  expect(log.reads - reads).toBe(0);
});

test('a jump in the live events is filled from the log at once', async () => {
  const events = feed.subscribe(runId, 0);
  const all = take(events, 4);
  await vi.advanceTimersByTimeAsync(0);
  const added = log.append(4);
  feed.publish(runId, added.slice(3));
  expect(await all).toEqual([1, 2, 3, 4]);
});

test('a live event of which the log knows nothing is not believed', async () => {
  const events = feed.subscribe(runId, 0);
  const first = take(events, 1);
  await vi.advanceTimersByTimeAsync(0);
  feed.publish(runId, [event(9)]);
  await vi.advanceTimersByTimeAsync(5);
  expect(log.reads).toBeLessThan(5);
  feed.publish(runId, log.append(1));
  expect(await first).toEqual([1]);
});

test('when every live message is lost the head beat finds the events within its period', async () => {
  const events = feed.subscribe(runId, 0);
  const all = take(events, 3);
  await vi.advanceTimersByTimeAsync(0);
  log.append(3);
  await vi.advanceTimersByTimeAsync(options.headBeatMs);
  expect(await all).toEqual([1, 2, 3]);
});

test('after a broken bus connection everyone reads the log again at once', async () => {
  const events = feed.subscribe(runId, 0);
  const all = take(events, 2);
  await vi.advanceTimersByTimeAsync(0);
  log.append(2);
  feed.resync();
  expect(await all).toEqual([1, 2]);
});

test('a log that is away for a while costs time, not events', async () => {
  log.append(2);
  log.away = true;
  const all = take(feed.subscribe(runId, 0), 3);
  await vi.advanceTimersByTimeAsync(3 * options.headBeatMs);
  log.away = false;
  feed.publish(runId, log.append(1));
  await vi.advanceTimersByTimeAsync(2 * options.headBeatMs);
  expect(await all).toEqual([1, 2, 3]);
});

test('a log that went back behind what a subscriber has ends the subscription with that, at the next head beat', async () => {
  log.append(5);
  const [ahead, behind] = [feed.subscribe(runId, 0), feed.subscribe(runId, 2)];
  await take(ahead, 5);
  const waiting = ahead.next();
  log.events.splice(3);
  const refused = expect(waiting).rejects.toThrow(/ends with event 3, and this subscription has given 5.*afterSequence 0/);
  await vi.advanceTimersByTimeAsync(options.headBeatMs);
  await refused;
  expect(feed.subscriberCount).toBe(1);
  expect(await take(behind, 1)).toEqual([3]);
});

test('a head that was asked for before an event came does not look like a log that went back', async () => {
  log.append(1);
  const events = feed.subscribe(runId, 0);
  await take(events, 1);
  const next = take(events, 2);
  const slow = vi.spyOn(log, 'heads').mockImplementationOnce(async () => {
    const heads = new Map([[runId, log.events.length]]);
    feed.publish(runId, log.append(1));
    await vi.advanceTimersByTimeAsync(5);
    return heads;
  });
  await vi.advanceTimersByTimeAsync(options.headBeatMs);
  expect(slow).toHaveBeenCalled();
  feed.publish(runId, log.append(1));
  expect(await next).toEqual([2, 3]);
});

test('a subscriber that does not keep up costs no more than its buffer, and misses nothing', async () => {
  const events = feed.subscribe(runId, 0);
  feed.publish(runId, log.append(1));
  expect(await take(events, 1)).toEqual([1]);
  for (let i = 0; i < 40; i++) feed.publish(runId, log.append(5));
  const reads = log.reads;
  expect(await take(events, 200)).toEqual(range(2, 201));
  expect(log.reads - reads).toBeGreaterThanOrEqual(18);
});

test('the stream ends with the event that ends the run', async () => {
  log.append(2);
  log.append(1, 'RUN_SUCCEEDED');
  const events = feed.subscribe(runId, 0);
  expect(await take(events, 10)).toEqual([1, 2, 3]);
  expect(await events.next()).toEqual({ done: true, value: undefined });
  expect(feed.subscriberCount).toBe(0);
});

test('a subscriber that leaves while nothing happens is gone at once, and with the last one the head beat', async () => {
  const heads = vi.spyOn(log, 'heads');
  const events = feed.subscribe(runId, 0);
  const waiting = events.next();
  await vi.advanceTimersByTimeAsync(options.headBeatMs);
  expect(heads).toHaveBeenCalledTimes(1);
  await events.return?.();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(feed.subscriberCount).toBe(0);
  await vi.advanceTimersByTimeAsync(5 * options.headBeatMs);
  expect(heads).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('one question per beat serves all runs', async () => {
  const heads = vi.spyOn(log, 'heads');
  const other = newId('run');
  const waiting = [feed.subscribe(runId, 0), feed.subscribe(runId, 0), feed.subscribe(other, 0)].map((events) => events.next());
  await vi.advanceTimersByTimeAsync(options.headBeatMs);
  expect(heads.mock.calls).toEqual([[[runId, other]]]);
  await feed.close();
  expect((await Promise.all(waiting)).every((result) => result.done)).toBe(true);
});

test('a thousand events through a lossy bus, with many interruptions, come out as 1 to 1000', async () => {
  const random = mulberry32(7);
  const seen: number[] = [];
  const writing = (async () => {
    while (log.events.length < 999) {
      const added = log.append(Math.min(1 + Math.floor(random() * 12), 999 - log.events.length));
      if (random() < 0.6) feed.publish(runId, added);
      if (random() < 0.1) feed.publish(runId, log.events.slice(-15));
      await new Promise((resolve) => setTimeout(resolve, 1 + random() * 20));
    }
    log.append(1, 'RUN_SUCCEEDED');
  })();
  const reading = (async () => {
    while (seen.at(-1) !== 1000) {
      const events = feed.subscribe(runId, seen.at(-1) ?? 0);
      seen.push(...(await take(events, 1 + Math.floor(random() * 60))));
      await events.return?.();
    }
  })();
  for (let i = 0; i < 200 && seen.at(-1) !== 1000; i++) await vi.advanceTimersByTimeAsync(500);
  await Promise.all([writing, reading]);
  expect(seen).toEqual(range(1, 1000));
  expect(feed.subscriberCount).toBe(0);
});

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
