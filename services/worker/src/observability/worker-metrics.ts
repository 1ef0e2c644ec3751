import type { SelftestSummary } from '@roentgen/domain';
import type { ChunkOutcome, ChunkWork } from '@roentgen/protocol';
import { WORK_SECONDS, type Counter, type Histogram, type Metrics } from '@roentgen/telemetry';
import type { StepObservation } from '../rpc.js';

/** What a worker does at a moment; as in its heartbeats. */
export const WORKER_STATES = ['IDLE', 'TRAINING', 'PREDICTING', 'STOPPING'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** How a worker left an attempt. */
export type AttemptOutcome = 'succeeded' | 'failed' | 'paused' | 'cancelled' | 'abandoned';

interface Sources {
  readonly state: () => WorkerState;
  /** Events that are not recorded yet. */
  readonly outboxEvents: () => number;
  readonly cacheBytes: () => number;
}

/** What a worker counts, in its networking thread. */
export class WorkerMetrics {
  private readonly steps: Counter;
  private readonly images: Counter;
  private readonly stepSeconds: Histogram<'part'>;
  private readonly cacheLookups: Counter<'result'>;
  private readonly attempts: Counter<'outcome'>;
  private readonly evaluationSeconds: Histogram;
  private readonly uploadSeconds: Histogram;
  private readonly uploadBytes: Counter;
  private readonly chunkSeconds: Histogram<'kind' | 'outcome'>;

  constructor(private readonly metrics: Metrics) {
    this.steps = metrics.counter('worker_steps_total', 'Training steps that were computed.');
    this.images = metrics.counter('worker_images_total', 'Images that training steps were computed on.');
    this.stepSeconds = metrics.histogram(
      'worker_step_duration_seconds',
      'Parts of a training step: waiting for images, gradients, exchange, update.',
      ['part'],
      WORK_SECONDS,
    );
    this.cacheLookups = metrics.counter('worker_image_cache_lookups_total', 'Images that were looked for among the decoded ones.', [
      'result',
    ]);
    this.attempts = metrics.counter('worker_attempts_total', 'Attempts that were left, by how.', ['outcome']);
    this.evaluationSeconds = metrics.histogram(
      'worker_evaluation_duration_seconds',
      'Evaluations on the validation split.',
      [],
      WORK_SECONDS,
    );
    this.uploadSeconds = metrics.histogram(
      'worker_checkpoint_upload_duration_seconds',
      'Checkpoints on their way to the store.',
      [],
      WORK_SECONDS,
    );
    this.uploadBytes = metrics.counter('worker_checkpoint_upload_bytes_total', 'Bytes of checkpoints that were stored.');
    this.chunkSeconds = metrics.histogram(
      'worker_chunk_duration_seconds',
      'Chunks: inspections, predictions, imports of weights.',
      ['kind', 'outcome'],
      WORK_SECONDS,
    );
  }

  /** What is looked up when somebody asks. */
  watch({ state, outboxEvents, cacheBytes }: Sources): void {
    this.metrics.gauge('worker_state', '1 for what the worker does at the moment.', ['state'], (gauge) => {
      const current = state();
      for (const each of WORKER_STATES) gauge.set({ state: each }, each === current ? 1 : 0);
    });
    this.metrics.gauge('worker_outbox_events', 'Events that wait to be recorded.', [], (gauge) => gauge.set(outboxEvents()));
    this.metrics.gauge('worker_image_cache_bytes', 'Memory of decoded images that are kept.', [], (gauge) => gauge.set(cacheBytes()));
  }

  /** @param selftest null: none was made, and there is nothing to tell */
  machine(selftest: SelftestSummary | null, eligible: boolean): void {
    this.metrics.gauge('worker_eligible', '1 when the worker is offered attempts and predictions.').set(eligible ? 1 : 0);
    if (selftest === null) return;
    this.metrics.gauge('worker_selftest_passed', '1 when the self-test of the machine passed.').set(selftest.verdict === 'PASS' ? 1 : 0);
    const checks = this.metrics.gauge('worker_selftest_check_passed', 'Checks of the self-test; those that were skipped are left out.', [
      'check',
    ]);
    for (const { name, verdict } of selftest.checks) if (verdict !== 'SKIPPED') checks.set({ check: name }, verdict === 'PASS' ? 1 : 0);
  }

  step({ images, durations }: StepObservation): void {
    this.steps.inc();
    this.images.inc(images);
    this.stepSeconds.observe({ part: 'input' }, durations.inputMs / 1_000);
    this.stepSeconds.observe({ part: 'gradients' }, durations.gradientsMs / 1_000);
    this.stepSeconds.observe({ part: 'all_reduce' }, durations.allReduceMs / 1_000);
    this.stepSeconds.observe({ part: 'apply' }, durations.applyMs / 1_000);
  }

  cacheLookup(found: boolean): void {
    this.cacheLookups.inc({ result: found ? 'hit' : 'miss' });
  }

  attemptLeft(outcome: AttemptOutcome): void {
    this.attempts.inc({ outcome });
  }

  evaluated(seconds: number): void {
    this.evaluationSeconds.observe(seconds);
  }

  checkpointStored(bytes: number, seconds: number): void {
    this.uploadBytes.inc(bytes);
    this.uploadSeconds.observe(seconds);
  }

  chunk(kind: ChunkWork['kind'], outcome: ChunkOutcome, seconds: number): void {
    this.chunkSeconds.observe({ kind, outcome: outcome.kind === 'failed' ? 'failed' : 'done' }, seconds);
  }
}
