import { randomBytes } from 'node:crypto';
import { once, EventEmitter } from 'node:events';
import { ConflictError, InvalidInputError, UnavailableError, newId } from '@roentgen/domain';
import { startStack, type Stack } from '@roentgen/local-stack';
import { silentLogger } from '@roentgen/logger';
import {
  Bus,
  BusPermissionError,
  BusTimeoutError,
  MessageTooLargeError,
  NoRespondersError,
  RemoteError,
  type BusOptions,
  type Verdict,
} from '@roentgen/messaging';
import {
  AttemptOffer,
  AttemptStop,
  ChunkClaim,
  ChunkResult,
  CoordinatorWake,
  LiveRunEvents,
  ROLE_PERMISSIONS,
  RecordEvents,
  SERVICE_ROLES,
  WorkerHeartbeat,
  type ServiceRole,
} from '@roentgen/protocol';
import { runInTrace, type TraceParent } from '@roentgen/telemetry';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { z } from 'zod';

const SECONDS = 1000;
const shared = inject('stack');
const open: Bus[] = [];
const stacks: Stack[] = [];
const latches: Array<() => void> = [];
afterEach(async () => {
  // A failed test must not leave a handler behind that closing waits for.
  for (const release of latches.splice(0)) release();
  await Promise.all(open.splice(0).map((bus) => bus.close()));
  await Promise.all(stacks.splice(0).map((stack) => stack.stop()));
});

const newPrefix = () => `test-${randomBytes(4).toString('hex')}`;

function optionsFor(role: ServiceRole, subjectPrefix: string, nats = shared.nats): BusOptions {
  const { user, password } = nats.users[role] ?? { user: role, password: '' };
  return { servers: [new URL(nats.url).host], user, password, subjectPrefix, role, name: `test ${role}`, startupTimeoutMs: 10 * SECONDS };
}

async function connect(role: ServiceRole, subjectPrefix: string, nats = shared.nats): Promise<Bus> {
  const bus = await Bus.connect(optionsFor(role, subjectPrefix, nats), silentLogger);
  open.push(bus);
  return bus;
}

/** A stack of this test's own, whose broker it may stop. */
async function ownStack(): Promise<{ stack: Stack; broker: ReturnType<Stack['processes']>[number] }> {
  const stack = await startStack({
    profile: 'ephemeral',
    natsUsers: SERVICE_ROLES.map((name) => ({ name, permissions: ROLE_PERMISSIONS[name] })),
  });
  stacks.push(stack);
  return { stack, broker: stack.processes().find(({ name }) => name === 'nats')! };
}

/** Collects what happens, and lets a test wait for it. */
class Journal<T> {
  readonly entries: T[] = [];
  private readonly news = new EventEmitter();

  add(entry: T): void {
    this.entries.push(entry);
    this.news.emit('entry');
  }

  async has(count: number, timeoutMs = 20 * SECONDS): Promise<T[]> {
    const signal = AbortSignal.timeout(timeoutMs);
    while (this.entries.length < count) await once(this.news, 'entry', { signal });
    return this.entries;
  }
}

/** A promise that a test settles. */
function latch(): { promise: Promise<void>; release: () => void } {
  let release = (): void => undefined;
  const promise = new Promise<void>((resolve) => (release = resolve));
  latches.push(release);
  return { promise, release };
}

const worker = newId('wkr');
const token = '8b1a9953-c461-4296-a827-abf8c47804d7';
const held = { runId: newId('run'), attemptId: newId('att'), generation: 1, token };
const claim = () => ({ chunkId: newId('chk'), workerId: worker });
const heartbeat = {
  workerId: worker,
  name: 'w',
  version: '0',
  device: 'cpu' as const,
  deviceName: 'cpu',
  state: 'IDLE' as const,
  holding: null,
  waiting: null,
  chunks: [],
  progressCounter: 0,
  startedAt: '2026-01-02T03:04:05.000Z',
  residentBytes: 1,
  runtime: null,
};
const offer = {
  ...held,
  projectId: newId('prj'),
  attemptNumber: 1,
  recipe: {},
  dataset: {
    datasetVersionId: newId('dsv'),
    projectId: newId('prj'),
    manifestKey: 'k',
    manifestSha256: 'a'.repeat(64),
    classes: ['a', 'b'],
  },
  initialWeights: null,
  resumeFrom: null,
};
const event = {
  eventId: 'e1',
  kind: 'RUN_STARTED' as const,
  occurredAt: '2026-01-02T03:04:05.000Z',
  attemptId: null,
  workerId: null,
  epoch: null,
  step: null,
  status: null,
  message: null,
  metrics: [],
  checkpoint: null,
  failure: null,
};
const live = { runId: held.runId, events: [{ ...event, runId: held.runId, sequence: 1, recordedAt: '2026-01-02T03:04:05.000Z' }] };

describe('messages', () => {
  test('arrive with what the sender put into the subject, and only at those who listen to it', async () => {
    const prefix = newPrefix();
    const [gateway, coordinator, stranger] = await Promise.all([
      connect('gateway', prefix),
      connect('coordinator', prefix),
      connect('gateway', newPrefix()),
    ]);
    const mine = new Journal<{ sequence: number; tokens: readonly string[] }>();
    const theirs = new Journal<unknown>();
    gateway.subscribe(LiveRunEvents, [held.runId], (payload, { tokens }) => mine.add({ sequence: payload.events[0]!.sequence, tokens }));
    stranger.subscribe(LiveRunEvents, [], (payload) => theirs.add(payload));
    await Promise.all([gateway.flush(), stranger.flush()]);
    coordinator.publish(LiveRunEvents, [newId('run')], live);
    coordinator.publish(LiveRunEvents, [held.runId], live);
    expect(await mine.has(1)).toEqual([{ sequence: 1, tokens: [held.runId] }]);
    expect(theirs.entries).toEqual([]);
  });

  test('that cannot be read, and handlers that throw, do not stop the next one', async () => {
    const prefix = newPrefix();
    const [gateway, coordinator] = await Promise.all([connect('gateway', prefix), connect('coordinator', prefix)]);
    const woken = new Journal<string>();
    coordinator.subscribe(CoordinatorWake, [], ({ reason }) => {
      woken.add(reason);
      if (reason === 'run-queued') throw new Error('a handler that fails');
    });
    await coordinator.flush();
    gateway.publish({ ...CoordinatorWake, schema: z.object({ reason: z.string() }) }, [], { reason: 'boredom' });
    gateway.publish({ ...CoordinatorWake, version: 7 }, [], { reason: 'run-queued', runId: null });
    gateway.publish(CoordinatorWake, [], { reason: 'run-queued', runId: null });
    gateway.publish(CoordinatorWake, [], { reason: 'run-control', runId: null });
    expect(await woken.has(2)).toEqual(['run-queued', 'run-control']);
  });

  test('and requests tell what their sender works on, where that is traced, and nothing else', async () => {
    const prefix = newPrefix();
    const [gateway, coordinator, working] = await Promise.all([
      connect('gateway', prefix),
      connect('coordinator', prefix),
      connect('worker', prefix),
    ]);
    const traces = new Journal<TraceParent | null>();
    coordinator.subscribe(CoordinatorWake, [], (_wake, { trace }) => void traces.add(trace));
    working.respond(AttemptOffer, [worker], async (_offer, { trace }) => (traces.add(trace), { accepted: true, reason: null }));
    await Promise.all([coordinator.flush(), working.flush()]);
    const trace = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1' };
    const wake = () => gateway.publish(CoordinatorWake, [], { reason: 'run-queued', runId: held.runId });
    wake();
    runInTrace(trace, wake);
    expect(await traces.has(2)).toEqual([null, trace]);
    const { traceparent } = trace;
    await runInTrace({ traceparent }, () => coordinator.request(AttemptOffer, [worker], offer, { timeoutMs: 5000 }));
    expect(await traces.has(3)).toEqual([null, trace, { traceparent }]);
  });

  test('that break their own schema or are too large are refused before anything is sent', async () => {
    const coordinator = await connect('coordinator', newPrefix());
    expect(() => coordinator.publish(LiveRunEvents, [held.runId], { ...live, events: [] })).toThrow(/live-run-events cannot be sent/);
    const huge = coordinator.request(AttemptOffer, [worker], { ...offer, recipe: { notes: 'x'.repeat(3_000_000) } }, { timeoutMs: 1000 });
    await expect(huge).rejects.toThrow(MessageTooLargeError);
    await expect(huge).rejects.toThrow(/attempt-offer on .* has 30\d{5} bytes, more than the broker's max_payload/);
  });
});

describe('a request', () => {
  async function pair() {
    const prefix = newPrefix();
    const [asking, answering] = await Promise.all([connect('worker', prefix), connect('coordinator', prefix)]);
    return { asking, answering };
  }

  test('is answered by one of several coordinators', async () => {
    const { asking, answering } = await pair();
    const answered = new Journal<readonly string[]>();
    for (const reason of ['one', 'two']) {
      answering.respond(
        ChunkClaim,
        [],
        async (_, { tokens }) => {
          answered.add(tokens);
          return { granted: false, reason };
        },
        { queueGroup: 'coordinators' },
      );
    }
    await answering.flush();
    const replies = await Promise.all(Array.from({ length: 20 }, () => asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 })));
    expect(answered.entries).toEqual(Array.from({ length: 20 }, () => [worker]));
    expect(new Set(replies.map((reply) => (reply.granted ? '' : reply.reason)))).toEqual(new Set(['one', 'two']));
  });

  test('that meets one of our errors brings its code and message back', async () => {
    const { asking, answering } = await pair();
    answering.respond(ChunkClaim, [], async () => {
      throw new ConflictError('The chunk is not open any more.');
    });
    await answering.flush();
    const refused = asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 });
    await expect(refused).rejects.toThrow(RemoteError);
    await expect(refused).rejects.toMatchObject({ code: 'CONFLICT', message: 'The chunk is not open any more.' });
  });

  test.each([
    ['an error that nobody foresaw', () => Promise.reject(new Error('password hunter2 is wrong'))],
    ['an answer that breaks its promise', () => Promise.resolve({ granted: false as const, reason: JSON.parse('7') })],
  ])('that meets %s is told no more than INTERNAL', async (_, handler) => {
    const { asking, answering } = await pair();
    answering.respond(ChunkClaim, [], handler);
    await answering.flush();
    const refused = asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 });
    await expect(refused).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(refused).rejects.not.toThrow(/hunter2/);
  });

  test('that cannot be read is answered at once', async () => {
    const { asking, answering } = await pair();
    answering.respond(ChunkClaim, [], async () => ({ granted: false, reason: 'not reached' }));
    await answering.flush();
    const newer = asking.request({ ...ChunkClaim, version: 7 }, [worker], claim(), { timeoutMs: 5000 });
    await expect(newer).rejects.toMatchObject({ code: 'UNKNOWN_MESSAGE_VERSION' });
    const broken = asking.request(
      { ...ChunkClaim, schema: z.object({ nothing: z.null() }) },
      [worker],
      { nothing: null },
      { timeoutMs: 5000 },
    );
    await expect(broken).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
  });

  test('that nobody listens to, or nobody answers, says which', async () => {
    const { asking, answering } = await pair();
    const lonely = asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 });
    await expect(lonely).rejects.toThrow(NoRespondersError);
    await expect(lonely).rejects.toThrow(/Nobody listens to test-\w+\.chunk\.claim\.wkr_/);
    const never = latch();
    answering.respond(ChunkClaim, [], async () => {
      await never.promise;
      return { granted: false, reason: 'too late' };
    });
    await answering.flush();
    const slow = asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 300 });
    await expect(slow).rejects.toThrow(BusTimeoutError);
    await expect(slow).rejects.toThrow(/chunk-claim on .* was not answered within 300 ms/);
    never.release();
  });

  test('whose answer is under way is answered when the answering side closes', async () => {
    const { asking, answering } = await pair();
    const [asked, mayAnswer] = [latch(), latch()];
    answering.respond(ChunkClaim, [], async () => {
      asked.release();
      await mayAnswer.promise;
      return { granted: false, reason: 'done already' };
    });
    await answering.flush();
    const reply = asking.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 });
    await asked.promise;
    const closed = answering.close();
    mayAnswer.release();
    await closed;
    expect(await reply).toEqual({ granted: false, reason: 'done already' });
    expect(answering.close()).toBe(answering.close());
  });
});

describe('the permissions of the roles', () => {
  test('are enough for everything that the protocol asks of them', async () => {
    const prefix = newPrefix();
    const [gateway, coordinator, working] = await Promise.all([
      connect('gateway', prefix),
      connect('coordinator', prefix),
      connect('worker', prefix),
    ]);
    const seen = new Journal<string>();
    coordinator.subscribe(CoordinatorWake, [], () => seen.add('wake'));
    coordinator.subscribe(WorkerHeartbeat, [], () => seen.add('heartbeat'));
    gateway.subscribe(LiveRunEvents, [], () => seen.add('live'));
    working.respond(AttemptOffer, [worker], async () => ({ accepted: true, reason: null }));
    working.respond(AttemptStop, [worker], async () => ({ known: true }));
    coordinator.respond(RecordEvents, [], async ({ events }) => ({ recorded: events.length }), { queueGroup: 'c' });
    coordinator.respond(ChunkClaim, [], async () => ({ granted: false, reason: 'r' }), { queueGroup: 'c' });
    coordinator.respond(ChunkResult, [], async () => ({ recorded: true }), { queueGroup: 'c' });
    await Promise.all([gateway.flush(), coordinator.flush(), working.flush()]);

    gateway.publish(CoordinatorWake, [], { reason: 'run-queued', runId: null });
    working.publish(WorkerHeartbeat, [worker], heartbeat);
    coordinator.publish(LiveRunEvents, [held.runId], live);
    gateway.publish(LiveRunEvents, [held.runId], live);
    expect((await seen.has(4)).sort()).toEqual(['heartbeat', 'live', 'live', 'wake']);

    const soon = { timeoutMs: 5000 };
    expect(await coordinator.request(AttemptOffer, [worker], offer, soon)).toEqual({ accepted: true, reason: null });
    expect(await coordinator.request(AttemptStop, [worker], { attemptId: held.attemptId, token, reason: 'CANCEL' }, soon)).toEqual({
      known: true,
    });
    expect(await working.request(RecordEvents, [worker], { ...held, workerId: worker, events: [event] }, soon)).toEqual({ recorded: 1 });
    expect(await working.request(ChunkClaim, [worker], claim(), soon)).toEqual({ granted: false, reason: 'r' });
    const result = { chunkId: newId('chk'), token, outcome: { kind: 'inspected' as const, files: [] } };
    expect(await working.request(ChunkResult, [worker], result, soon)).toEqual({ recorded: true });

    await coordinator.ensureWorkQueue();
    const taken = new Journal<string>();
    await working.consumeWork('inspect', async ({ chunkId }, delivery) => (delivery.working(), taken.add(chunkId), 'ack'), {
      concurrency: 1,
    });
    const chunk = { chunkId: newId('chk'), kind: 'inspect' as const };
    await coordinator.enqueue(chunk, 'm1');
    expect(await taken.has(1)).toEqual([chunk.chunkId]);
  });

  test('keep a worker from commanding, from telling gateways anything and from making queues', async () => {
    const prefix = newPrefix();
    const [gateway, working] = await Promise.all([connect('gateway', prefix), connect('worker', prefix)]);
    const reached = new Journal<string>();
    gateway.subscribe(LiveRunEvents, [], ({ events }) => reached.add(events[0]!.eventId));
    working.respond(AttemptOffer, [], async () => ({ accepted: true, reason: null }));
    await Promise.all([gateway.flush(), working.flush()]);
    working.publish(LiveRunEvents, [held.runId], live);
    await working.flush();
    const honest = await connect('coordinator', prefix);
    honest.publish(LiveRunEvents, [held.runId], { ...live, events: [{ ...live.events[0]!, eventId: 'from a coordinator' }] });
    expect(await reached.has(1)).toEqual(['from a coordinator']);

    const commanding = working.request(AttemptOffer, [worker], offer, { timeoutMs: 5000 });
    await expect(commanding).rejects.toThrow(BusPermissionError);
    await expect(commanding).rejects.toThrow(/does not let user "worker" use test-\w+\.control\.offer/);
    await expect(working.ensureWorkQueue()).rejects.toThrow(BusPermissionError);
    await expect(working.enqueue({ chunkId: newId('chk'), kind: 'inspect' }, 'm')).rejects.toThrow(BusPermissionError);
    await expect(gateway.ensureWorkQueue()).rejects.toThrow(BusPermissionError);
    await expect(gateway.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 })).rejects.toThrow(BusPermissionError);
  });
});

describe('the work queue', () => {
  const chunk = (kind: 'inspect' | 'predict' = 'inspect') => ({ chunkId: newId('chk'), kind });

  async function queue() {
    const prefix = newPrefix();
    const coordinator = await connect('coordinator', prefix);
    await coordinator.ensureWorkQueue();
    return { coordinator, prefix };
  }

  test('may be waited for before any coordinator has made it', async () => {
    const prefix = newPrefix();
    const [working, coordinator] = await Promise.all([connect('worker', prefix), connect('coordinator', prefix)]);
    const taken = new Journal<string>();
    await working.consumeWork('inspect', async ({ chunkId }) => (taken.add(chunkId), 'ack'), { concurrency: 2 });
    const early = coordinator.enqueue(chunk(), 'm0');
    await expect(early).rejects.toThrow(UnavailableError);
    await expect(early).rejects.toThrow(/There is no work queue "test-\w+-work": a coordinator creates it/);
    await Promise.all([coordinator.ensureWorkQueue(), coordinator.ensureWorkQueue()]);
    const { chunkId, kind } = chunk();
    await coordinator.enqueue({ chunkId, kind }, 'm1');
    expect(await taken.has(1)).toEqual([chunkId]);
  });

  test('stores the same announcement once and hands out each kind to those who take it', async () => {
    const { coordinator, prefix } = await queue();
    const [inspect, predict, last] = [chunk('inspect'), chunk('predict'), chunk('predict')];
    for (let i = 0; i < 3; i++) await coordinator.enqueue(inspect, 'same');
    await coordinator.enqueue(predict, 'other');
    await coordinator.enqueue(last, 'last');
    const working = await connect('worker', prefix);
    const taken = new Journal<string>();
    const take = async ({ chunkId }: { chunkId: string }): Promise<Verdict> => (taken.add(chunkId), 'ack');
    await working.consumeWork('inspect', take, { concurrency: 1 });
    await working.consumeWork('predict', take, { concurrency: 1 });
    expect((await taken.has(3)).sort()).toEqual([inspect.chunkId, predict.chunkId, last.chunkId].sort());
  });

  test('brings back what was refused or failed, and nothing that was acknowledged or given up', async () => {
    const { coordinator, prefix } = await queue();
    const working = await connect('worker', prefix);
    const [refused, failed, hopeless, done] = [chunk(), chunk(), chunk(), chunk()];
    const log = new Journal<[string, number]>();
    await working.consumeWork(
      'inspect',
      async ({ chunkId }, { deliveries }) => {
        log.add([chunkId, deliveries]);
        if (deliveries > 1 || chunkId === done.chunkId) return 'ack';
        if (chunkId === hopeless.chunkId) return 'term';
        if (chunkId === failed.chunkId) throw new Error('out of luck');
        return { nakAfterMs: 100 };
      },
      { concurrency: 4 },
    );
    for (const each of [hopeless, done, refused, failed]) await coordinator.enqueue(each, each.chunkId);
    const seen = await log.has(6);
    const times = (id: string) => seen.filter(([chunkId]) => chunkId === id).map(([, deliveries]) => deliveries);
    expect([refused, failed, hopeless, done].map(({ chunkId }) => times(chunkId))).toEqual([[1, 2], [1, 2], [1], [1]]);
  });

  test('a busy worker holds nothing back from an idle one', async () => {
    const { coordinator, prefix } = await queue();
    const [busy, idle] = await Promise.all([connect('worker', prefix), connect('worker', prefix)]);
    const [started, mayEnd] = [latch(), latch()];
    await busy.consumeWork('inspect', async () => (started.release(), await mayEnd.promise, 'ack'), { concurrency: 1 });
    await coordinator.enqueue(chunk(), 'first');
    await started.promise;
    const taken = new Journal<string>();
    const rest = Array.from({ length: 10 }, () => chunk());
    for (const each of rest) await coordinator.enqueue(each, each.chunkId);
    await idle.consumeWork('inspect', async ({ chunkId }) => (taken.add(chunkId), 'ack'), { concurrency: 2 });
    expect((await taken.has(10, 5 * SECONDS)).sort()).toEqual(rest.map(({ chunkId }) => chunkId).sort());
    mayEnd.release();
  });

  test('a paused worker leaves the work to others, also what its last pull brings', async () => {
    const { coordinator, prefix } = await queue();
    const [pausing, other] = await Promise.all([connect('worker', prefix), connect('worker', prefix)]);
    const [mine, theirs] = [new Journal<string>(), new Journal<string>()];
    const consumer = await pausing.consumeWork('inspect', async ({ chunkId }) => (mine.add(chunkId), 'ack'), { concurrency: 2 });
    await coordinator.enqueue(chunk(), 'before');
    await mine.has(1);
    consumer.pause();
    const rest = Array.from({ length: 4 }, () => chunk());
    for (const each of rest) await coordinator.enqueue(each, each.chunkId);
    await other.consumeWork('inspect', async ({ chunkId }) => (theirs.add(chunkId), 'ack'), { concurrency: 1 });
    expect((await theirs.has(4, 5 * SECONDS)).sort()).toEqual(rest.map(({ chunkId }) => chunkId).sort());
    expect(mine.entries).toHaveLength(1);
    await other.close();
    consumer.resume();
    await coordinator.enqueue(chunk(), 'after');
    await mine.has(2);
  });

  test('closing waits for the handler that runs, which may still ask the coordinator', async () => {
    const { coordinator, prefix } = await queue();
    coordinator.respond(ChunkClaim, [], async () => ({ granted: false, reason: 'r' }));
    await coordinator.flush();
    const working = await connect('worker', prefix);
    const [started, mayEnd] = [latch(), latch()];
    const log: string[] = [];
    const handler = async () => {
      started.release();
      await mayEnd.promise;
      const { granted } = await working.request(ChunkClaim, [worker], claim(), { timeoutMs: 5000 });
      log.push(`handled, granted ${granted}`);
      return 'ack' as const;
    };
    await working.consumeWork('inspect', handler, { concurrency: 1 });
    await coordinator.enqueue(chunk(), 'm');
    await started.promise;
    const closed = working.close().then(() => log.push('closed'));
    mayEnd.release();
    await closed;
    expect(log).toEqual(['handled, granted false', 'closed']);
  });
});

describe('a broker', () => {
  test('that is not there is named, with the fix, when the time is up', async () => {
    const options = { ...optionsFor('worker', newPrefix()), servers: ['127.0.0.1:1'], startupTimeoutMs: 1200 };
    const failed = Bus.connect(options, silentLogger);
    await expect(failed).rejects.toThrow(UnavailableError);
    await expect(failed).rejects.toThrow(/NATS at 127\.0\.0\.1:1 did not answer within 1200 ms .*NATS_URL/);
  });

  test('that refuses the user is not asked again', async () => {
    const failed = Bus.connect({ ...optionsFor('worker', newPrefix()), password: 'wrong', startupTimeoutMs: 600 * SECONDS }, silentLogger);
    await expect(failed).rejects.toThrow(/refused the user "worker". Check NATS_USER and NATS_PASSWORD/);
  });

  test('is not even asked with a prefix that would break out of the subjects', async () => {
    await expect(Bus.connect(optionsFor('worker', 'a.>'), silentLogger)).rejects.toThrow(InvalidInputError);
  });

  test('that goes and comes back: requests fail at once, then everything goes on', async () => {
    const { stack, broker } = await ownStack();
    const prefix = newPrefix();
    const [coordinator, working] = await Promise.all([connect('coordinator', prefix, stack.nats), connect('worker', prefix, stack.nats)]);
    await coordinator.ensureWorkQueue();
    const [asked, never] = [latch(), latch()];
    const back = new Journal<string>();
    coordinator.onReconnect(() => back.add('coordinator'));
    working.onReconnect(() => back.add('worker'));
    coordinator.respond(ChunkClaim, [], async () => (asked.release(), await never.promise, { granted: false, reason: 'r' }));
    coordinator.respond(RecordEvents, [], async () => ({ recorded: 1 }));
    const taken = new Journal<string>();
    await working.consumeWork('inspect', async ({ chunkId }) => (taken.add(chunkId), 'ack'), { concurrency: 2 });
    const [before, after] = [newId('chk'), newId('chk')];
    await coordinator.enqueue({ chunkId: before, kind: 'inspect' }, 'before');
    await taken.has(1);

    const inFlight = expect(working.request(ChunkClaim, [worker], claim(), { timeoutMs: 600 * SECONDS })).rejects.toThrow(UnavailableError);
    await asked.promise;
    await broker.kill('SIGKILL');
    await inFlight;
    expect(working.connected).toBe(false);
    const startedAt = Date.now();
    const request = working.request(RecordEvents, [worker], { ...held, workerId: worker, events: [event] }, { timeoutMs: 600 * SECONDS });
    await expect(request).rejects.toThrow(/there is no connection to NATS at 127\.0\.0\.1:\d+\. Reconnecting goes on/);
    expect(Date.now() - startedAt).toBeLessThan(1000);
    working.publish(WorkerHeartbeat, [worker], heartbeat);

    await broker.restart();
    await back.has(2);
    expect(await working.request(RecordEvents, [worker], { ...held, workerId: worker, events: [event] }, { timeoutMs: 5000 })).toEqual({
      recorded: 1,
    });
    await coordinator.enqueue({ chunkId: after, kind: 'inspect' }, 'after');
    expect(await taken.has(2)).toEqual([before, after]);
    never.release();
  });

  test('that comes up late is waited for, and one that is gone does not hold up closing', async () => {
    const { stack, broker } = await ownStack();
    await broker.kill('SIGKILL');
    const connecting = connect('worker', newPrefix(), stack.nats);
    await broker.restart();
    const bus = await connecting;
    await bus.consumeWork('inspect', async () => 'ack', { concurrency: 1 });
    await broker.kill('SIGKILL');
    await bus.close();
    expect(bus.connected).toBe(false);
    expect(() => bus.publish(WorkerHeartbeat, [worker], heartbeat)).not.toThrow();
    await expect(bus.flush()).rejects.toThrow(UnavailableError);
  });
});
