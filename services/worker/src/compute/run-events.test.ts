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
