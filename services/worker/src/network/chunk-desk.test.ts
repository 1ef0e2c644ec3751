import { expect, test } from 'vitest';
import { ConflictError, RoentgenError, StaleTokenError, UnavailableError, newId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { ChunkClaim, ChunkResult, type ChunkOutcome, type ChunkWork } from '@roentgen/protocol';
import { LocalDiskError } from '../errors.js';
import { ChunkDesk, type ChunkDeskOptions } from './chunk-desk.js';

const work: ChunkWork = { kind: 'inspect', projectId: newId('prj'), uploadId: newId('upl'), files: [] };
const granted = { granted: true, token: '0190f0a0-0000-4000-8000-000000000001', leaseMs: 60_000, work };
const inspected: ChunkOutcome = { kind: 'inspected', files: [] };
const delivery = { working: () => undefined };

/** A coordinator that answers claims and results in turn; what it was told. */
function deskWith(claim: unknown, results: unknown[] = [], options: Partial<ChunkDeskOptions> = {}) {
  const told: unknown[] = [];
  const request = async (message: { name: string; reply: { parse(value: unknown): unknown } }, _tokens: unknown, payload: unknown) => {
    if (message.name === ChunkResult.name) told.push(payload);
    const answer = message.name === ChunkClaim.name ? claim : (results.shift() ?? { recorded: true });
    if (answer instanceof Error) throw answer;
    return await Promise.resolve(message.reply.parse(answer));
  };
  const bus = { request } as ChunkDeskOptions['bus'];
  return { desk: new ChunkDesk({ bus, workerId: newId('wkr'), logger: silentLogger, resultRetryMs: [1, 1], ...options }), told };
}

test('a claimed chunk is worked on and its outcome handed in with the token of the claim', async () => {
  const { desk, told } = deskWith(granted);
  const chunkId = newId('chk');
  expect(await desk.work(chunkId, delivery, () => Promise.resolve(inspected))).toBe('ack');
  expect(told).toEqual([{ chunkId, token: granted.token, outcome: inspected }]);
});

test('a chunk that is not granted is not worked on', async () => {
  const { desk } = deskWith({ granted: false, reason: 'done' });
  expect(await desk.work(newId('chk'), delivery, () => expect.unreachable('not ours'))).toBe('ack');
});

test('without a coordinator the chunk goes back to the queue', async () => {
  const { desk } = deskWith(new Error('no responders'));
  expect(await desk.work(newId('chk'), delivery, () => expect.unreachable('not claimed'))).toEqual({ nakAfterMs: 2000 });
});

class ObjectMissing extends RoentgenError {
  readonly code = 'OBJECT_MISSING';
}

test.each([
  [new ObjectMissing('xray-7.png is gone'), 'OBJECT_MISSING', false],
  [new UnavailableError('no store'), 'UNAVAILABLE', true],
  [new LocalDiskError('no room in /tmp'), 'LOCAL_DISK', true],
  [new TypeError('bug'), 'INTERNAL', true],
])('%s fails the chunk and says whether another try makes sense', async (error, code, retryable) => {
  const { desk, told } = deskWith(granted);
  expect(await desk.work(newId('chk'), delivery, () => Promise.reject(error))).toBe('ack');
  expect(told).toMatchObject([{ outcome: { kind: 'failed', code, retryable, message: error.message } }]);
});

test('a result that nobody answers is handed in again for as long as the lease lasts', async () => {
  const away = () => new UnavailableError('no coordinator');
  const { desk, told } = deskWith(granted, Array.from({ length: 20 }, away));
  expect(await desk.work(newId('chk'), delivery, () => Promise.resolve(inspected))).toBe('ack');
  expect(told).toHaveLength(21);
  const short = deskWith({ ...granted, leaseMs: 1 }, Array.from({ length: 20 }, away), { resultRetryMs: [5] });
  expect(await short.desk.work(newId('chk'), delivery, () => Promise.resolve(inspected))).toEqual({ nakAfterMs: 5000 });
});

test.each([
  ['at once, where it cannot be right', [new ConflictError('not its files')], 2],
  ['after a few tries, where the coordinator stumbles over it', Array.from({ length: 5 }, () => new Error('INTERNAL')), 4],
])('a result that is refused becomes a failure with the reason: %s', async (_what, answers, tries) => {
  const { desk, told } = deskWith(granted, answers.slice(0, tries - 1));
  expect(await desk.work(newId('chk'), delivery, () => Promise.resolve(inspected))).toBe('ack');
  expect(told).toHaveLength(tries);
  expect(told.at(-1)).toMatchObject({
    outcome: { kind: 'failed', code: 'RESULT_REFUSED', retryable: true, message: expect.stringContaining(answers[0]!.message) },
  });
});

test('what is worked on is named, and no longer when it is handed in', async () => {
  const { desk } = deskWith(granted);
  const chunkId = newId('chk');
  await desk.work(chunkId, delivery, () => {
    expect(desk.holding).toEqual([{ chunkId, token: granted.token }]);
    return Promise.resolve(inspected);
  });
  expect(desk.holding).toEqual([]);
});

test('the result of a chunk that another worker has by now is dropped', async () => {
  const { desk, told } = deskWith(granted, [new StaleTokenError('given to another')]);
  expect(await desk.work(newId('chk'), delivery, () => Promise.resolve(inspected))).toBe('ack');
  expect(told).toHaveLength(1);
});

test('a long chunk tells the queue that it is worked on', async () => {
  let told = 0;
  const { desk } = deskWith(granted, [], { workingEveryMs: 5 });
  await desk.work(newId('chk'), { working: () => told++ }, async () => {
    await expect.poll(() => told).toBeGreaterThan(1);
    return inspected;
  });
});
