import { expect, test } from 'vitest';
import { newId, type RunEventInput } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { SharedControl } from '../shared-control.js';
import type { AttemptWork } from '../rpc.js';
import { AttemptDesk } from './attempt-desk.js';
import { deferred } from './deferred.js';
import { EventOutbox } from './outbox.js';

const TOKEN = '0190f0a0-0000-4000-8000-000000000001';
const offer = (changes: { token?: string; recipe?: Record<string, unknown> } = {}) => ({
  runId: newId('run'),
  attemptId: newId('att'),
  generation: 1,
  token: changes.token ?? TOKEN,
  projectId: newId('prj'),
  attemptNumber: 1,
  recipe: changes.recipe ?? {},
  dataset: {
    datasetVersionId: newId('dsv'),
    projectId: newId('prj'),
    manifestKey: 'm',
    manifestSha256: 'a'.repeat(64),
    classes: ['a', 'b'],
  },
  initialWeights: null,
  resumeFrom: null,
});

/** A desk whose compute thread trains until told otherwise, and whose recorder answers when told to. */
function desk(options: { otherwiseBusy?: string } = {}) {
  const control = new SharedControl();
  const log: string[] = [];
  const trained = deferred<void>();
  const recorded = deferred<void>();
  const works: AttemptWork[] = [];
  const attempts = new AttemptDesk({
    control,
    logger: silentLogger,
    newAttempt: (work) => {
      const { runId, attemptId, generation, token } = work;
      const send = async (events: RunEventInput[]) => {
        await recorded.promise;
        log.push(`recorded ${events.length}`);
      };
      const outbox = new EventOutbox({ producer: 'p', send, onRefused: () => undefined, logger: silentLogger });
      return {
        held: { runId, attemptId, generation, token },
        waiting: null,
        outbox,
        abandon: (why: string) => log.push(`abandoned: ${why}`),
        close: () => outbox.close(),
      };
    },
    train: async (work) => {
      works.push(work);
      await trained.promise;
    },
    otherwiseBusy: () => options.otherwiseBusy ?? null,
    onHeld: () => log.push('held'),
    onReleased: () => log.push('released'),
  });
  return { attempts, control, log, trained, recorded, works };
}

const event: Omit<RunEventInput, 'eventId'> = {
  kind: 'RUN_SUCCEEDED',
  occurredAt: '2025-01-01T00:00:00.000Z',
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

test('an idle worker takes an offer, with the recipe filled in, and refuses the next one with the reason', () => {
  const { attempts, works } = desk();
  const first = offer({ recipe: { variant: 'b3' } });
  expect(attempts.offer(first)).toEqual({ accepted: true, reason: null });
  expect(works[0]).toMatchObject({ runId: first.runId, recipe: { variant: 'B3', epochs: 5 } });
  expect(attempts.held).toMatchObject({ attemptId: first.attemptId });
  expect(attempts.offer(offer())).toMatchObject({ accepted: false, reason: expect.stringContaining(first.runId) });
});

test('the same offer once more, because the answer got lost, is accepted again but not begun twice', () => {
  const { attempts, works } = desk();
  const first = offer();
  attempts.offer(first);
  expect(attempts.offer(first)).toEqual({ accepted: true, reason: null });
  expect(works).toHaveLength(1);
});

test('a recipe that breaks a rule is refused with the rule', () => {
  const { attempts } = desk();
  expect(attempts.offer(offer({ recipe: { globalBatchSize: 50, microBatchSize: 16 } }))).toMatchObject({
    accepted: false,
    reason: expect.stringMatching(/INVALID_RECIPE.*50 is not divisible by microBatchSize 16/),
  });
  expect(attempts.held).toBeNull();
});

test('a worker that predicts or is stopping refuses', async () => {
  expect(desk({ otherwiseBusy: 'this worker is predicting.' }).attempts.offer(offer())).toEqual({
    accepted: false,
    reason: 'BUSY: this worker is predicting.',
  });
  const { attempts } = desk();
  await attempts.close();
  expect(attempts.offer(offer()).reason).toMatch(/STOPPING/);
});

test('an attempt is held until its last event is recorded', async () => {
  const { attempts, log, trained, recorded } = desk();
  attempts.offer(offer());
  await attempts.current.outbox.add(event);
  trained.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(attempts.held).not.toBeNull();
  recorded.resolve();
  await expect.poll(() => attempts.held).toBeNull();
  expect(log).toEqual(['held', 'recorded 1', 'released']);
  expect(attempts.offer(offer())).toMatchObject({ accepted: true });
});

test('cancelling asks the compute thread to leave; a stop with another token changes nothing', () => {
  const { attempts, control } = desk();
  const { attemptId, token } = { ...offer(), token: TOKEN };
  expect(attempts.stop({ attemptId, token, reason: 'CANCEL' })).toEqual({ known: false });
  const held = offer();
  attempts.offer(held);
  expect(attempts.stop({ attemptId: held.attemptId, token: '0190f0a0-0000-4000-8000-000000000002', reason: 'CANCEL' })).toEqual({
    known: false,
  });
  expect(control.stopReason).toBe('NONE');
  expect(attempts.stop({ attemptId: held.attemptId, token: held.token, reason: 'CANCEL' })).toEqual({ known: true });
  expect(control.stopReason).toBe('CANCEL');
});

test.each([
  ['PAUSE', 'PAUSE'],
  ['DRAIN', 'STOPPING'],
] as const)('asked to leave by %s, the compute thread is told %s', (reason, told) => {
  const { attempts, control } = desk();
  const held = offer();
  attempts.offer(held);
  expect(attempts.stop({ attemptId: held.attemptId, token: held.token, reason })).toEqual({ known: true });
  expect(control.stopReason).toBe(told);
});

test('an attempt that another worker has is abandoned', () => {
  const { attempts, log } = desk();
  const held = offer();
  attempts.offer(held);
  attempts.stop({ attemptId: held.attemptId, token: held.token, reason: 'SUPERSEDED' });
  expect(log).toEqual(['held', 'abandoned: the coordinator gave it to another worker']);
});

test('closing asks the compute thread to leave and waits for it', async () => {
  const { attempts, control, log, trained } = desk();
  attempts.offer(offer());
  const closed = attempts.close().then(() => log.push('closed'));
  expect(control.stopReason).toBe('STOPPING');
  trained.resolve();
  await closed;
  expect(log).toEqual(['held', 'released', 'closed']);
});
