import { expect, test } from 'vitest';
import { RunEventInputSchema, newId } from '@roentgen/domain';
import { classMetricNames, fromTraining, runEvent } from './run-events.js';

const metrics = {
  n: 12,
  loss: Number.NaN,
  accuracy: 0.75,
  majorityBaselineAccuracy: 0.5,
  sensitivity: [
    { class: 'Normal', n: 6, value: 1 },
    { class: 'Pneumonia (viral)', n: 6, value: 0.5 },
    { class: 'COVID-19', n: 0, value: null },
  ],
  confusionMatrix: [
    [6, 0, 0],
    [3, 3, 0],
    [0, 0, 0],
  ],
  auroc: null,
};
const noKey = () => expect.unreachable('no checkpoint here');

test('an evaluation becomes metrics whose names the log accepts; what could not be measured is left out', () => {
  const event = fromTraining({ type: 'evaluated', epoch: 1, step: 8, metrics, durationMs: 5 }, noKey);
  expect(RunEventInputSchema.parse({ ...event, eventId: 'x' })).toMatchObject({ kind: 'EVALUATED', epoch: 1, step: 8 });
  expect(Object.fromEntries(event.metrics.map(({ name, value }) => [name, value]))).toEqual({
    'val/samples': 12,
    'val/loss': null,
    'val/accuracy': 0.75,
    'val/majority-baseline-accuracy': 0.5,
    'val/sensitivity/normal': 1,
    'val/sensitivity/pneumonia-viral': 0.5,
  });
});

const step = {
  type: 'step-committed',
  epoch: 1,
  step: 3,
  totalSteps: 9,
  loss: 0.5,
  accuracy: 0.75,
  learningRate: 1e-3,
  imagesPerSecond: 8,
  durations: { inputMs: 1, gradientsMs: 1, allReduceMs: 0, applyMs: 1 },
} as const;

test('a step without an update says so, and its gradient norm is no number', () => {
  const event = fromTraining({ ...step, gradientNorm: Number.NaN, lossScale: 65536, skipped: true }, noKey);
  expect(RunEventInputSchema.parse({ ...event, eventId: 'x' })).toMatchObject({
    kind: 'STEP_COMMITTED',
    step: 3,
    message: 'no update: the gradient overflowed fp16 at a loss scale of 65536; the next step tries 32768.',
  });
  expect(event.metrics).toContainEqual({ name: 'train/gradient-norm', value: null, kind: 'NAN' });
  expect(event.metrics).toContainEqual({ name: 'train/skipped-updates', value: 1, kind: 'FINITE' });
});

test('a step with an update has no message, and without fp16 no loss scale', () => {
  const names = (lossScale: number | null) => {
    const event = fromTraining({ ...step, gradientNorm: 1, lossScale, skipped: false }, noKey);
    expect(event.message).toBeNull();
    return event.metrics.map(({ name }) => name).filter((name) => name.startsWith('train/'));
  };
  const always = ['train/loss', 'train/accuracy', 'train/learning-rate', 'train/gradient-norm'];
  expect(names(null)).toEqual(always);
  expect(names(1024)).toEqual([...always, 'train/loss-scale', 'train/skipped-updates']);
});

test('a saved checkpoint says where its bytes are', () => {
  const checkpointId = newId('ckp');
  const saved = {
    type: 'checkpoint-saved',
    epoch: 1,
    step: 8,
    checkpoint: { checkpointId, epoch: 1, step: 8 },
    sha256: 'a'.repeat(64),
    bytes: 100,
  } as const;
  const event = fromTraining(saved, (id) => `projects/p/runs/r/checkpoints/${id}.safetensors`);
  expect(RunEventInputSchema.parse({ ...event, eventId: 'x' }).checkpoint).toEqual({
    checkpointId,
    epoch: 1,
    step: 8,
    objectKey: `projects/p/runs/r/checkpoints/${checkpointId}.safetensors`,
    sha256: 'a'.repeat(64),
    bytes: 100,
  });
});

test('classes whose names differ only in what a metric name cannot say keep apart', () => {
  expect(classMetricNames(['Normal', 'normal', 'COVID-19', '肺炎'])).toEqual(['normal-0', 'normal-1', 'covid-19', 'class-3']);
});

test('an event says when it happened', () => {
  expect(runEvent('RUN_STARTED', {}, new Date(0)).occurredAt).toBe('1970-01-01T00:00:00.000Z');
});
