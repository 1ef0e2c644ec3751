import { parseId, metric, type Metric, type RunEventKind } from '@roentgen/domain';
import type { EvaluationMetrics, TrainingEvent } from '@roentgen/training';
import type { AttemptEvent } from '../rpc.js';

type EventFields = Partial<Omit<AttemptEvent, 'kind' | 'occurredAt'>>;

/** An event with everything that it does not say left empty. */
export function runEvent(kind: RunEventKind, fields: EventFields = {}, now: Date = new Date()): AttemptEvent {
  const empty = { epoch: null, step: null, status: null, message: null, metrics: [], checkpoint: null, failure: null };
  return { kind, occurredAt: now.toISOString(), ...empty, ...fields };
}

/** What the training loop says, as the run's event log has it. @param objectKey where a checkpoint's tensors were put */
export function fromTraining(event: TrainingEvent, objectKey: (checkpointId: string) => string): AttemptEvent {
  const { epoch, step } = event;
  switch (event.type) {
    case 'epoch-started':
      return runEvent('EPOCH_STARTED', { epoch, step, metrics: [metric('epoch/left-out-samples', event.leftOutSamples.length)] });
    case 'step-committed':
      return runEvent('STEP_COMMITTED', { epoch, step, message: stepMessage(event), metrics: stepMetrics(event) });
    case 'evaluated':
      return runEvent('EVALUATED', { epoch, step, metrics: validationMetrics(event.metrics) });
    case 'checkpoint-saved': {
      const checkpointId = parseId('ckp', event.checkpoint.checkpointId, 'checkpointId');
      const { sha256, bytes } = event;
      return runEvent('CHECKPOINT_SAVED', {
        epoch,
        step,
        checkpoint: { checkpointId, epoch, step, objectKey: objectKey(checkpointId), sha256, bytes },
      });
    }
  }
}

/** A step that changed nothing must not look like one that did. */
function stepMessage({ skipped, lossScale }: Extract<TrainingEvent, { type: 'step-committed' }>): string | null {
  if (!skipped || lossScale === null) return null;
  return `no update: the gradient overflowed fp16 at a loss scale of ${lossScale}; the next step tries ${lossScale / 2}.`;
}

function stepMetrics(event: Extract<TrainingEvent, { type: 'step-committed' }>): Metric[] {
  return [
    metric('train/loss', event.loss),
    metric('train/accuracy', event.accuracy),
    metric('train/learning-rate', event.learningRate),
    metric('train/gradient-norm', event.gradientNorm),
    ...(event.lossScale === null
      ? []
      : [metric('train/loss-scale', event.lossScale), metric('train/skipped-updates', event.skipped ? 1 : 0)]),
    metric('perf/images-per-second', event.imagesPerSecond),
  ];
}

/** A rate that cannot be computed (no image of the class) has no metric. */
function validationMetrics(metrics: EvaluationMetrics): Metric[] {
  const names = classMetricNames(metrics.sensitivity.map((entry) => entry.class));
  return [
    metric('val/samples', metrics.n),
    metric('val/loss', metrics.loss),
    metric('val/accuracy', metrics.accuracy),
    metric('val/majority-baseline-accuracy', metrics.majorityBaselineAccuracy),
    ...(metrics.auroc === null ? [] : [metric('val/auroc', metrics.auroc)]),
    ...metrics.sensitivity.flatMap(({ value }, i) => (value === null ? [] : [metric(`val/sensitivity/${names[i]}`, value)])),
  ];
}

/** Class names as parts of metric names: what a metric name may not have becomes `-`; two that would be the same get their class index. */
export function classMetricNames(classes: readonly string[]): string[] {
  const slugs = classes.map((name) =>
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, ''),
  );
  return slugs.map((slug, i) =>
    slug === '' || slugs.filter((other) => other === slug).length > 1 ? `${slug === '' ? 'class' : slug}-${i}` : slug,
  );
}
