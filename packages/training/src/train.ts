import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeCheckpoint } from './checkpoint.js';
import type { EvaluationMetrics } from './classification-metrics.js';
import { InvalidBatchError, NonFiniteLossError } from './errors.js';
import { evaluate } from './evaluate.js';
import type { EvaluationInput } from './evaluate.js';
import type { MicroBatch } from './micro-batch.js';
import { stateVectors } from './optimizer/training-state.js';
import type { TrainingPlan } from './plan.js';
import type { CheckpointStore, Collective, SavedCheckpointRef, StopRequest, TrainingEvent, TrainingInput } from './ports.js';
import { allFinite } from './step-gradients.js';
import type { StepSums } from './step-gradients.js';
import type { TrainingSession } from './training-session.js';

export interface TrainOptions {
  readonly plan: TrainingPlan;
  /** Its state is set: a fresh one, or that of the checkpoint that startStep belongs to. */
  readonly session: TrainingSession;
  /** In the order of the labels. */
  readonly classes: readonly string[];
  /** Steps that are already committed; 0 by default. */
  readonly startStep?: number;
  readonly input: TrainingInput;
  /** Evaluated after every epoch; null when there is no validation split. */
  readonly validation: EvaluationInput | null;
  /** Among the workers of the run; without it this worker's sums are the sums, and never leave its device. */
  readonly collective?: Collective;
  readonly checkpoints: CheckpointStore;
  /** The checkpoint that was resumed from. */
  readonly lastCheckpoint?: SavedCheckpointRef | null;
  readonly report: (event: TrainingEvent) => void | Promise<void>;
  /** Asked before every step. */
  readonly shouldStop?: () => StopRequest;
  /** Told after each micro-batch: a step of many takes minutes where the device is slow. */
  readonly onMicroBatch?: () => void;
  readonly nowMs?: () => number;
}

export interface TrainingResult {
  readonly status: 'completed' | 'stopped';
  readonly epoch: number;
  /** Committed steps. */
  readonly step: number;
  readonly lastCheckpoint: SavedCheckpointRef | null;
  readonly lastEvaluation: EvaluationMetrics | null;
}

/**
 * Trains from startStep to the end of the plan, or until it is asked to stop. A step is committed when its update is made; whatever
 * happens before leaves the state of the last committed step.
 * @throws NonFiniteLossError with step, epoch and last good checkpoint; InvalidBatchError; whatever a port throws
 */
export async function train(options: TrainOptions): Promise<TrainingResult> {
  const { plan, session, input, validation, report, shouldStop = () => 'continue' as const } = options;
  const clock = options.nowMs ?? (() => performance.now());
  const run = new RunProgress(options);

  while (run.step < plan.totalSteps) {
    const request = shouldStop();
    if (request === 'checkpoint-and-stop') await run.saveCheckpoint();
    if (request !== 'continue') return run.result('stopped');
    const { step } = run;
    if (plan.startsEpoch(step)) await report(run.epochStarted());

    const startedAt = clock();
    const microBatches = await input.batch(step); //                       the same whatever the number of workers
    const inputAt = clock();
    const local = sumMicroBatches(options, step, microBatches); //   weighted sums, in tree order
    const gradientsAt = clock();
    const total = await allReduce(options, step, local); //                identical bits on every member
    const allReduceAt = clock();
    const { lossScale } = session;
    const skipped = !session.isSumFinite(total);
    if (skipped && !session.canSkip(total)) throw run.nonFinite(total);
    const learningRate = plan.learningRate(step);
    const gradientNorm = endStep(options, step, skipped ? null : total);
    const appliedAt = clock();
    run.commit();
    await report({
      type: 'step-committed',
      epoch: run.epoch,
      step: run.step,
      totalSteps: plan.totalSteps,
      loss: total.lossSum / total.weightSum,
      accuracy: total.correctSum / total.sampleCount,
      learningRate,
      gradientNorm,
      lossScale,
      skipped,
      imagesPerSecond: total.sampleCount / ((appliedAt - startedAt) / 1000),
      durations: {
        inputMs: inputAt - startedAt,
        gradientsMs: gradientsAt - inputAt,
        allReduceMs: allReduceAt - gradientsAt,
        applyMs: appliedAt - allReduceAt,
      },
    });

    if (validation && plan.endsEpoch(run.step)) await run.evaluate(validation, clock);
    if (plan.checkpointsAfter(run.step)) await run.saveCheckpoint();
    // The calls above block the thread: let messages and timers through between steps.
    await nextTurn();
  }
  return run.result('completed');
}

/** The gradient of a whole step on one worker; changes no state. */
function sumMicroBatches({ session, plan, onMicroBatch }: TrainOptions, step: number, microBatches: readonly MicroBatch[]): StepSums {
  const planned = plan.microBatches(step);
  if (microBatches.length !== planned.length) {
    throw new InvalidBatchError(`step ${step} got ${microBatches.length} micro-batches, the plan has ${planned.length}.`, {
      step,
      got: microBatches.length,
      planned: planned.length,
    });
  }
  const seeded = planned.map((microBatch, index) => ({
    batch: microBatches[index]!,
    dropoutSeed: plan.dropoutSeed(step, index),
    augmentation: plan.augmentation(microBatch),
  }));
  return session.sumGradients(seeded, onMicroBatch);
}

/** Makes the session's sum that of all workers. */
async function allReduce({ session, collective }: TrainOptions, step: number, local: StepSums): Promise<StepSums> {
  if (!collective) return local;
  const total = await collective.allReduce(step, { ...local, ...session.readSum() });
  session.setSum(total);
  return total;
}

/** Ends a step with the update from its sums, or without one. → norm of the gradient */
function endStep({ plan, session }: TrainOptions, step: number, total: StepSums | null): number {
  const position = { step, phase: plan.phase(step) };
  if (total === null) {
    session.skip(position);
    return Number.NaN;
  }
  const rates = { learningRate: plan.learningRate(step), statisticsMomentum: plan.statisticsMomentum(step) };
  return session.applySum(total, { ...position, ...rates }).gradientNorm;
}

/** Where a run stands. */
class RunProgress {
  step: number;
  private lastCheckpoint: SavedCheckpointRef | null;
  private lastEvaluation: EvaluationMetrics | null = null;

  constructor(private readonly options: TrainOptions) {
    this.step = options.startStep ?? 0;
    this.lastCheckpoint = options.lastCheckpoint ?? null;
  }

  /** Epoch of the last committed step; 0 before the first. */
  get epoch(): number {
    return this.step === 0 ? 0 : this.options.plan.epochOf(this.step - 1);
  }

  commit(): void {
    this.step += 1;
  }

  epochStarted(): TrainingEvent {
    const { plan } = this.options;
    const epoch = plan.epochOf(this.step);
    return {
      type: 'epoch-started',
      epoch,
      epochs: plan.recipe.epochs,
      step: this.step,
      stepsPerEpoch: plan.stepsPerEpoch,
      leftOutSamples: plan.leftOut(epoch),
    };
  }

  async evaluate(validation: EvaluationInput, clock: () => number): Promise<void> {
    const startedAt = clock();
    this.lastEvaluation = await evaluate(this.options.session, validation, this.options.classes);
    await this.options.report({
      type: 'evaluated',
      epoch: this.epoch,
      step: this.step,
      metrics: this.lastEvaluation,
      durationMs: clock() - startedAt,
    });
    // Batch statistics can keep every step finite while the running ones, which the model predicts with, are past saving.
    const { loss } = this.lastEvaluation;
    if (!Number.isFinite(loss)) throw this.diverged(this.step, `the validation loss is ${loss}`, { validationLoss: String(loss) }, 'after');
  }

  /** Nothing to do where this very step is already saved, or none is committed. */
  async saveCheckpoint(): Promise<void> {
    const { plan, session, classes, checkpoints, report } = this.options;
    if (this.step === 0 || this.lastCheckpoint?.step === this.step) return;
    const { epoch, step } = this;
    const metrics = plan.endsEpoch(step) ? this.lastEvaluation : null;
    const state = session.getState();
    if (!Object.values(stateVectors(state)).every(allFinite)) throw this.diverged(step, 'the update left weights that are not finite', {});
    const encoded = encodeCheckpoint(state, {
      recipe: plan.recipe,
      classes,
      epoch,
      step,
      conventions: session.spec.conventions,
      metrics,
    });
    this.lastCheckpoint = await checkpoints.save(encoded);
    await report({
      type: 'checkpoint-saved',
      epoch,
      step,
      checkpoint: this.lastCheckpoint,
      sha256: encoded.sha256,
      bytes: encoded.description.tensors.bytes,
    });
  }

  nonFinite(total: StepSums): NonFiniteLossError {
    const loss = total.lossSum / total.weightSum;
    const what = Number.isFinite(loss) ? 'the gradient is not finite' : `the loss is ${loss}`;
    return this.diverged(this.step + 1, what, { loss: String(loss) });
  }

  private diverged(
    step: number,
    what: string,
    details: Readonly<Record<string, unknown>>,
    when: 'in' | 'after' = 'in',
  ): NonFiniteLossError {
    const epoch = this.options.plan.epochOf(step - 1);
    const good = this.lastCheckpoint
      ? `The last good checkpoint is ${this.lastCheckpoint.checkpointId} of step ${this.lastCheckpoint.step}.`
      : 'There is no checkpoint yet.';
    return new NonFiniteLossError(
      `${when} step ${step} (epoch ${epoch}) ${what}: the run has diverged. ${good} Try a lower learningRate or more warmupSteps.`,
      {
        step,
        epoch,
        ...details,
        lastCheckpoint: this.lastCheckpoint,
      },
    );
  }

  result(status: TrainingResult['status']): TrainingResult {
    return { status, epoch: this.epoch, step: this.step, lastCheckpoint: this.lastCheckpoint, lastEvaluation: this.lastEvaluation };
  }
}
