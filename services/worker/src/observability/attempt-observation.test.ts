import { newId } from '@roentgen/domain';
import type { Span, SpanOptions, Tracer } from '@roentgen/telemetry';
import { expect, test } from 'vitest';
import { runEvent } from '../compute/run-events.js';
import { AttemptObservation } from './attempt-observation.js';

interface NotedSpan {
  readonly name: string;
  readonly parent: string | null;
  ended: number;
  failure: string | null;
  attributes: Record<string, unknown>;
}

/** Spans by name; a span's own traceparent is its name. */
function notingTracer() {
  const spans: NotedSpan[] = [];
  const begin = (name: string, options: SpanOptions = {}): Span => {
    const noted: NotedSpan = {
      name,
      parent: options.parent?.traceparent ?? null,
      ended: 0,
      failure: null,
      attributes: { ...options.attributes },
    };
    spans.push(noted);
    return {
      parent: { traceparent: name },
      rename: () => undefined,
      set: (attributes) => void Object.assign(noted.attributes, attributes),
      fail: (error) => void (noted.failure = typeof error === 'string' ? error : error.message),
      end: () => void noted.ended++,
      run: (work) => work(),
    };
  };
  const tracer: Tracer = { begin, close: () => Promise.resolve() };
  return { spans, tracer };
}

function observed() {
  const { spans, tracer } = notingTracer();
  const counted = { steps: 0, evaluations: 0, uploads: [] as number[], left: [] as string[] };
  const metrics = {
    step: () => void counted.steps++,
    evaluated: () => void counted.evaluations++,
    checkpointStored: (bytes: number) => void counted.uploads.push(bytes),
    attemptLeft: (outcome: string) => void counted.left.push(outcome),
  };
  const work = { runId: newId('run'), attemptId: newId('att'), attemptNumber: 2, resumeFrom: null };
  return { spans, counted, observation: new AttemptObservation(tracer, metrics, work, { traceparent: 'dispatch' }) };
}

const STEP = { images: 8, durations: { inputMs: 1, gradientsMs: 2, allReduceMs: 0, applyMs: 1 } };

test('an attempt is a part of its dispatch, epochs of it, evaluations and uploads of their epoch; each ends once', async () => {
  const { spans, counted, observation } = observed();
  for (const epoch of [1, 2]) {
    observation.reported(runEvent('EPOCH_STARTED', { epoch }), null);
    observation.reported(runEvent('STEP_COMMITTED', { epoch, step: epoch }), STEP);
    observation.evaluationBegan();
    observation.reported(runEvent('EVALUATED', { epoch, step: epoch }), null);
    expect(await observation.uploadingCheckpoint(100, () => Promise.resolve('key'))).toBe('key');
  }
  observation.reported(runEvent('RUN_SUCCEEDED'), null);
  observation.left();
  observation.left();

  const epoch = ['epoch', 'attempt'];
  const parts = [epoch, ['evaluation', 'epoch'], ['checkpoint upload', 'epoch']];
  expect(spans.map(({ name, parent }) => [name, parent])).toEqual([['attempt', 'dispatch'], ...parts, ...parts]);
  expect(spans.every(({ ended }) => ended === 1)).toBe(true);
  expect(spans[0]?.attributes).toMatchObject({ 'roentgen.attempt.number': 2, 'roentgen.outcome': 'succeeded' });
  expect(counted).toEqual({ steps: 2, evaluations: 2, uploads: [100, 100], left: ['succeeded'] });
});

test('an upload that fails is not counted, and its error is in the trace', async () => {
  const { spans, counted, observation } = observed();
  await expect(observation.uploadingCheckpoint(100, () => Promise.reject(new Error('no space left')))).rejects.toThrow('no space left');
  expect(spans.at(-1)).toMatchObject({ name: 'checkpoint upload', parent: 'attempt', ended: 1, failure: 'no space left' });
  expect(counted.uploads).toEqual([]);
});

test('an attempt that failed says why; one that is left without a word was abandoned', () => {
  const failed = observed();
  failed.observation.reported(runEvent('EPOCH_STARTED', { epoch: 1 }), null);
  failed.observation.evaluationBegan();
  const failure = { code: 'NON_FINITE_LOSS', message: 'the loss is NaN', details: {} };
  failed.observation.reported(runEvent('ATTEMPT_FAILED', { failure }), null);
  failed.observation.left();
  expect(failed.spans[0]).toMatchObject({ failure: 'the loss is NaN', attributes: { 'roentgen.failure.code': 'NON_FINITE_LOSS' } });
  expect(failed.spans.every(({ ended }) => ended > 0)).toBe(true);
  expect(failed.counted).toMatchObject({ evaluations: 0, left: ['failed'] });

  const abandoned = observed();
  abandoned.observation.left();
  expect(abandoned.counted.left).toEqual(['abandoned']);
});
