import type { RunEventKind } from '@roentgen/domain';
import { inSpan, type Span, type TraceParent, type Tracer } from '@roentgen/telemetry';
import type { AttemptEvent, AttemptWork, StepObservation } from '../rpc.js';
import type { AttemptOutcome, WorkerMetrics } from './worker-metrics.js';

/** What an attempt tells as it goes. */
export interface AttemptObserver {
  reported(event: AttemptEvent, step: StepObservation | null): void;
  evaluationBegan(): void;
  uploadingCheckpoint<T>(bytes: number, upload: () => Promise<T>): Promise<T>;
  /** Idempotent. */
  left(): void;
}

type Counted = Pick<WorkerMetrics, 'step' | 'evaluated' | 'checkpointStored' | 'attemptLeft'>;

const OUTCOMES: Partial<Record<RunEventKind, AttemptOutcome>> = {
  RUN_SUCCEEDED: 'succeeded',
  RUN_PAUSED: 'paused',
  RUN_CANCELLED: 'cancelled',
  ATTEMPT_FAILED: 'failed',
};

/** An attempt as operators see it: spans of it, its epochs, evaluations and uploads (not of its steps), and the worker's counters. */
export class AttemptObservation implements AttemptObserver {
  private readonly attempt: Span;
  private epoch: Span | null = null;
  private evaluation: { readonly span: Span; readonly startedMs: number } | null = null;
  private outcome: AttemptOutcome = 'abandoned';
  private isLeft = false;

  /** @param parent the dispatch that the offer came with */
  constructor(
    private readonly tracer: Tracer,
    private readonly metrics: Counted,
    work: Pick<AttemptWork, 'runId' | 'attemptId' | 'attemptNumber' | 'resumeFrom'>,
    parent: TraceParent | null,
  ) {
    this.attempt = tracer.begin('attempt', {
      parent,
      kind: 'consumer',
      attributes: {
        'roentgen.run.id': work.runId,
        'roentgen.attempt.id': work.attemptId,
        'roentgen.attempt.number': work.attemptNumber,
        'roentgen.attempt.resumed': work.resumeFrom !== null,
      },
    });
  }

  reported(event: AttemptEvent, step: StepObservation | null): void {
    if (step !== null) this.metrics.step(step);
    if (event.kind === 'EPOCH_STARTED') this.beginEpoch(event.epoch ?? 0);
    if (event.kind === 'EVALUATED') this.endEvaluation();
    this.outcome = OUTCOMES[event.kind] ?? this.outcome;
    if (event.failure !== null && event.failure !== undefined) {
      this.attempt.set({ 'roentgen.failure.code': event.failure.code });
      this.attempt.fail(event.failure.message);
    }
  }

  evaluationBegan(): void {
    this.evaluation?.span.end();
    this.evaluation = { span: this.tracer.begin('evaluation', { parent: this.present }), startedMs: performance.now() };
  }

  async uploadingCheckpoint<T>(bytes: number, upload: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const attributes = { 'roentgen.checkpoint.bytes': bytes };
    const stored = await inSpan(this.tracer, 'checkpoint upload', { parent: this.present, kind: 'client', attributes }, upload);
    this.metrics.checkpointStored(bytes, (performance.now() - startedMs) / 1_000);
    return stored;
  }

  left(): void {
    if (this.isLeft) return;
    this.isLeft = true;
    this.evaluation?.span.end();
    this.epoch?.end();
    this.attempt.set({ 'roentgen.outcome': this.outcome });
    this.attempt.end();
    this.metrics.attemptLeft(this.outcome);
  }

  /** What is done now is a part of. */
  private get present(): TraceParent | null {
    return (this.epoch ?? this.attempt).parent;
  }

  private beginEpoch(epoch: number): void {
    this.epoch?.end();
    this.epoch = this.tracer.begin('epoch', { parent: this.attempt.parent, attributes: { 'roentgen.epoch': epoch } });
  }

  private endEvaluation(): void {
    if (this.evaluation === null) return;
    this.metrics.evaluated((performance.now() - this.evaluation.startedMs) / 1_000);
    this.evaluation.span.end();
    this.evaluation = null;
  }
}
