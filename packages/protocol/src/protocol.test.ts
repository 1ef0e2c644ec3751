import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import {
  AttemptOffer,
  AttemptStop,
  ChunkAvailable,
  ChunkClaim,
  ChunkResult,
  CoordinatorWake,
  InvalidMessageError,
  LiveRunEvents,
  RecordEvents,
  UnknownVersionError,
  WorkerHeartbeat,
  WorkerRegistration,
  decodeMessage,
  decodeReply,
  encodeMessage,
  encodeReply,
  type Message,
} from './index.js';

const ENVELOPE = { messageId: 'm-1', sentAt: new Date('2026-01-02T03:04:05.000Z') };
const TOKEN = '8b1a9953-c461-4296-a827-abf8c47804d7';
const SHA = 'a'.repeat(64);
const held = { runId: newId('run'), attemptId: newId('att'), generation: 1, token: TOKEN };
const worker = newId('wkr');

const event = {
  eventId: `${held.attemptId}/worker/1`,
  kind: 'STEP_COMMITTED',
  occurredAt: '2026-01-02T03:04:05.000Z',
  attemptId: held.attemptId,
  workerId: worker,
  epoch: 1,
  step: 7,
  status: null,
  message: null,
  metrics: [{ name: 'train/loss', value: 0.5, kind: 'FINITE' }],
  checkpoint: null,
  failure: null,
} as const;

const image = { sha256: SHA, bytes: 10, format: 'png', widthPx: 16, heightPx: 16, channels: 1 } as const;

/** Every message of the protocol with a payload that is right, and what makes it wrong. */
const MESSAGES: ReadonlyArray<{ message: Message<string, readonly string[], unknown>; good: object; bad: Record<string, object> }> = [
  {
    message: WorkerHeartbeat,
    good: {
      workerId: worker,
      name: 'gpu-3',
      version: '0.1.0',
      device: 'cpu',
      deviceName: 'Xeon',
      state: 'IDLE',
      holding: held,
      waiting: { code: 'STORE_FULL', message: 'The object store has no room.' },
      chunks: [{ chunkId: newId('chk'), token: held.token }],
      progressCounter: 0,
      startedAt: '2026-01-02T03:04:05.000Z',
      residentBytes: 1,
      runtime: {
        memoryBudgetBytes: 2 ** 33,
        memoryScale: 1.1,
        intraOpThreads: 0,
        interOpThreads: 2,
        xla: false,
        deterministicOps: false,
        ineligibleReason: null,
      },
    },
    bad: {
      'an id of another kind': { workerId: newId('run') },
      'an unknown device': { device: 'tpu' },
      'an unknown state': { state: 'SLEEPING' },
      'an attempt without its token': { holding: { ...held, token: undefined } },
      'a generation of 0': { holding: { ...held, generation: 0 } },
      'no name': { name: '' },
      'a date that is none': { startedAt: 'yesterday' },
      'a negative counter': { progressCounter: -1 },
      'memory of 0': { runtime: { memoryBudgetBytes: 0 } },
    },
  },
  {
    message: WorkerRegistration,
    good: {
      workerId: worker,
      selftest: {
        verdict: 'FAIL',
        level: 'quick',
        at: '2026-01-02T03:04:05.000Z',
        seconds: 20,
        tensorflowVersion: '2.21.0',
        checks: [{ name: 'device', verdict: 'FAIL', measured: 'none', bound: 'a device' }],
        speeds: [{ variant: 'B0', imageSizePx: 128, batchSize: 4, imagesPerSecond: 12.5, peakBytes: 10 }],
      },
    },
    bad: { 'no self-test': { selftest: null }, 'an unknown verdict': { selftest: { verdict: 'MAYBE' } } },
  },
  {
    message: AttemptOffer,
    good: {
      ...held,
      projectId: newId('prj'),
      attemptNumber: 1,
      recipe: { variant: 'B0' },
      dataset: {
        datasetVersionId: newId('dsv'),
        projectId: newId('prj'),
        manifestKey: 'k',
        manifestSha256: SHA,
        classes: ['normal', 'pneumonia'],
      },
      initialWeights: { weightSetId: newId('wts'), name: 'lite0', objectKey: 'w.safetensors', sha256: 'a'.repeat(64), bytes: 8 },
      resumeFrom: null,
    },
    bad: {
      'one class': {
        dataset: { datasetVersionId: newId('dsv'), projectId: newId('prj'), manifestKey: 'k', manifestSha256: SHA, classes: ['normal'] },
      },
      'no recipe': { recipe: null },
      'attempt number 0': { attemptNumber: 0 },
      'a token that is no UUID': { token: 'secret' },
    },
  },
  {
    message: AttemptStop,
    good: { attemptId: held.attemptId, token: TOKEN, reason: 'CANCEL' },
    bad: { 'an unknown reason': { reason: 'BORED' } },
  },
  {
    message: RecordEvents,
    good: { ...held, workerId: worker, events: [event] },
    bad: {
      'no event': { events: [] },
      'more than 1000 events': { events: Array.from({ length: 1001 }, () => event) },
      'an unknown kind of event': { events: [{ ...event, kind: 'COFFEE_BREAK' }] },
      'a metric that says FINITE without a value': {
        events: [{ ...event, metrics: [{ name: 'train/loss', value: null, kind: 'FINITE' }] }],
      },
      'a negative step': { events: [{ ...event, step: -1 }] },
    },
  },
  {
    message: ChunkAvailable,
    good: { chunkId: newId('chk'), kind: 'inspect' },
    bad: { 'an unknown kind': { kind: 'bake' }, 'no id': { chunkId: 'chk_' } },
  },
  { message: ChunkClaim, good: { chunkId: newId('chk'), workerId: worker }, bad: { 'no worker': { workerId: undefined } } },
  {
    message: ChunkResult,
    good: { chunkId: newId('chk'), token: TOKEN, outcome: { kind: 'inspected', files: [{ ordinal: 0, image, error: null }] } },
    bad: {
      'an unknown outcome': { outcome: { kind: 'lost' } },
      'a file that is both image and error': {
        outcome: { kind: 'inspected', files: [{ ordinal: 0, image, error: { code: 'TRUNCATED', message: 'x' } }] },
      },
      'a file that is neither image nor error': { outcome: { kind: 'inspected', files: [{ ordinal: 0, image: null, error: null }] } },
      'a hash in capitals': {
        outcome: { kind: 'inspected', files: [{ ordinal: 0, image: { ...image, sha256: 'A'.repeat(64) }, error: null }] },
      },
      'probabilities that do not sum to 1': { outcome: { kind: 'predicted', images: [{ ordinal: 0, probabilities: [0.9, 0.9] }] } },
      'a probability above 1': { outcome: { kind: 'predicted', images: [{ ordinal: 0, probabilities: [1.5, -0.5] }] } },
      'one probability only': { outcome: { kind: 'predicted', images: [{ ordinal: 0, probabilities: [1] }] } },
      'a failure that does not say whether to try again': { outcome: { kind: 'failed', code: 'X', message: 'x' } },
    },
  },
  { message: CoordinatorWake, good: { reason: 'run-queued', runId: held.runId }, bad: { 'an unknown reason': { reason: 'boredom' } } },
  {
    message: LiveRunEvents,
    good: { runId: held.runId, events: [{ ...event, runId: held.runId, sequence: 1, recordedAt: '2026-01-02T03:04:05.000Z' }] },
    bad: {
      'no event': { events: [] },
      'sequence 0': { events: [{ ...event, runId: held.runId, sequence: 0, recordedAt: '2026-01-02T03:04:05.000Z' }] },
    },
  },
];

/** Bytes of any payload at all, as a broken or hostile sender would make them. */
const bytesOf = (envelope: object) => new TextEncoder().encode(JSON.stringify(envelope));
const envelopeOf = (message: { name: string; version: number }, payload: unknown) => ({
  v: message.version,
  name: message.name,
  messageId: 'm-1',
  sentAt: '2026-01-02T03:04:05.000Z',
  payload,
});

const cases = MESSAGES.map((entry) => [entry.message.name, entry] as const);
const badCases = MESSAGES.flatMap(({ message, good, bad }) =>
  Object.entries(bad).map(([why, change]) => [message.name, why, message, { ...good, ...change }] as const),
);

test.each(cases)('%s reaches the other side as it was sent', (_, { message, good }) => {
  const received = decodeMessage(message, encodeMessage(message, good, ENVELOPE));
  expect(received).toEqual({ version: message.version, messageId: 'm-1', sentAt: '2026-01-02T03:04:05.000Z', payload: good });
});

test.each(badCases)('%s with %s is neither sent nor taken', (_, _why, message, payload) => {
  expect(() => encodeMessage(message, payload, ENVELOPE)).toThrow(InvalidMessageError);
  expect(() => decodeMessage(message, bytesOf(envelopeOf(message, payload)))).toThrow(InvalidMessageError);
});

test.each(cases)('%s of a newer sender: unknown fields are ignored', (_, { message, good }) => {
  expect(decodeMessage(message, bytesOf(envelopeOf(message, { ...good, addedLater: 1 }))).payload).toEqual(good);
});

test('a worker of a later version may wait for what nobody here knows', () => {
  const { good } = cases.find(([name]) => name === 'worker-heartbeat')![1];
  const later = bytesOf(envelopeOf(WorkerHeartbeat, { ...good, waiting: { code: 'MOON', message: 'It is not full.' } }));
  expect(decodeMessage(WorkerHeartbeat, later).payload.waiting).toBeNull();
});

test.each(cases)('%s of a version not known is refused by its number', (_, { message, good }) => {
  const newer = bytesOf({ ...envelopeOf(message, good), v: message.version + 1 });
  expect(() => decodeMessage(message, newer)).toThrow(UnknownVersionError);
  expect(() => decodeMessage(message, newer)).toThrow(`has version ${message.version + 1}; this receiver knows ${message.version}`);
});

test('the version before the current one is still taken', () => {
  const second = { ...CoordinatorWake, version: 2 };
  expect(decodeMessage(second, bytesOf({ ...envelopeOf(second, { reason: 'run-queued' }), v: 1 })).version).toBe(1);
  expect(() => decodeMessage({ ...second, version: 3 }, bytesOf({ ...envelopeOf(second, { reason: 'run-queued' }), v: 1 }))).toThrow(
    UnknownVersionError,
  );
});

const wake = envelopeOf(CoordinatorWake, { reason: 'run-queued' });
test.each<[string, Uint8Array, RegExp]>([
  ['nothing', new Uint8Array(), /0 bytes that are not JSON/],
  ['text that is not JSON', new TextEncoder().encode('hello'), /5 bytes that are not JSON/],
  ['bytes that are not UTF-8', Uint8Array.from([0x22, 0xff, 0x22]), /3 bytes that are not JSON/],
  ['JSON without an envelope', bytesOf([1, 2]), /no envelope/],
  ['another message', bytesOf({ ...wake, name: 'chunk-claim' }), /expected coordinator-wake, got chunk-claim/],
  ['an envelope without a message id', bytesOf({ ...wake, messageId: '' }), /no envelope/],
  ['an envelope with a version in words', bytesOf({ ...wake, v: 'one' }), /no envelope/],
  ['an envelope without a date', bytesOf({ ...wake, sentAt: 'now' }), /no envelope/],
])('%s is no message', (_, bytes, problem) => {
  expect(() => decodeMessage(CoordinatorWake, bytes)).toThrow(InvalidMessageError);
  expect(() => decodeMessage(CoordinatorWake, bytes)).toThrow(problem);
});

test('a reply reaches the one who asked, in the version of the question', () => {
  const granted = { granted: false as const, reason: 'done already' };
  expect(decodeReply(ChunkClaim, encodeReply(ChunkClaim, 1, { ok: true, payload: granted }))).toEqual({ ok: true, payload: granted });
  const refused = { ok: false as const, error: { code: 'STALE_TOKEN', message: 'given to another' } };
  expect(decodeReply(ChunkClaim, encodeReply(ChunkClaim, 1, refused))).toEqual(refused);
});

test.each<[string, object, RegExp]>([
  ['a payload that the request does not promise', { v: 1, ok: true, payload: { granted: 'yes' } }, /reply to chunk-claim/],
  ['an error without a code', { v: 1, ok: false, error: { code: '', message: 'x' } }, /reply to chunk-claim/],
  ['neither payload nor error', { v: 1 }, /reply to chunk-claim/],
  ['an unknown version', { v: 9, ok: true, payload: {} }, /version 9/],
])('a reply with %s is refused', (_, reply, problem) => {
  expect(() => decodeReply(ChunkClaim, bytesOf(reply))).toThrow(problem);
});

test('a subject is built from words only, one per token', () => {
  expect(ChunkClaim.subject(worker)).toBe(`chunk.claim.${worker}`);
  expect(ChunkClaim.pattern()).toBe('chunk.claim.*');
  expect(ChunkClaim.pattern(worker)).toBe(`chunk.claim.${worker}`);
  expect(CoordinatorWake.subject()).toBe('wake.coordinator');
  for (const hostile of ['', '*', '>', 'a.b', 'a b', 'a\n', 'ü']) {
    expect(() => ChunkClaim.subject(hostile), hostile).toThrow(InvalidMessageError);
    expect(() => ChunkClaim.pattern(hostile), hostile).toThrow(InvalidMessageError);
  }
});

test('no two messages share a name or a subject', () => {
  expect(new Set(MESSAGES.map(({ message }) => message.name)).size).toBe(MESSAGES.length);
  expect(new Set(MESSAGES.map(({ message }) => message.pattern())).size).toBe(MESSAGES.length);
});

test('PROTOCOL.md describes exactly these messages, with their versions and subjects', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'PROTOCOL.md'), 'utf8');
  const headings = text.matchAll(/^### `([\w-]+)` v(\d+)\n[\s|-]*subject\s*\| `([^`]+)`/gm);
  const described = [...headings].map(([, name, version, subject]) => ({
    name,
    version: Number(version),
    pattern: subject?.replaceAll(/\{\w+\}/g, '*'),
  }));
  const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }) => (a.name ?? '').localeCompare(b.name ?? '');
  const defined = MESSAGES.map(({ message: { name, version, pattern } }) => ({ name, version, pattern: pattern() }));
  expect(described.sort(byName)).toEqual(defined.sort(byName));
});
