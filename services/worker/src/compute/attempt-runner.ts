import { setImmediate } from 'node:timers/promises';
import { coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import {
  TrainingPlan,
  TrainingSession,
  decodeCheckpoint,
  stateFor,
  train,
  type StopRequest,
  type TrainingCheckpoint,
  type TrainingResult,
} from '@roentgen/training';
import { decodeWeights, modelConventions, type StoredWeights } from '@roentgen/weights';
import { AttemptEndedError, DatasetMismatchError } from '../errors.js';
import type { AttemptWork, NetworkFunctions, Remote } from '../rpc.js';
import type { SharedControl, StopReason } from '../shared-control.js';
import { AttemptReport } from './attempt-report.js';
import { startTraining } from './initial-weights.js';
import { checkpointStore, evaluationInput, trainingInput } from './ports.js';

export interface AttemptRunnerOptions {
  readonly binding: TensorFlowBinding;
  readonly network: Remote<NetworkFunctions>;
  readonly control: SharedControl;
  readonly logger: Logger;
}

/** A checkpoint on leaving costs seconds and saves what the epoch has cost so far. */
const STOP_REQUESTS: Readonly<Record<StopReason, StopRequest>> = {
  NONE: 'continue',
  PAUSE: 'checkpoint-and-stop',
  CANCEL: 'checkpoint-and-stop',
  STOPPING: 'checkpoint-and-stop',
  ABANDON: 'stop',
};

/** Trains attempts on this thread, one after the other. */
export class AttemptRunner {
  constructor(private readonly options: AttemptRunnerOptions) {}

  /** Never throws for what goes wrong in the attempt: that is an event. */
  async run(work: AttemptWork): Promise<void> {
    const { network, control, logger } = this.options;
    const report = new AttemptReport(network, control);
    try {
      const result = await this.train(work, report);
      if (result.status === 'completed') await report.succeeded(result);
      else await report.stopped();
    } catch (thrown) {
      const error = coerceError(thrown);
      // Asked to leave, an attempt may well fail at what it was waiting for.
      const level = control.stopReason === 'NONE' ? 'error' : 'info';
      logger[level]({ err: error, runId: work.runId, attemptId: work.attemptId, stopReason: control.stopReason }, 'attempt failed');
      await report.failed(error);
    }
  }

  private async train(work: AttemptWork, report: AttemptReport): Promise<TrainingResult> {
    const { binding, network, control, logger } = this.options;
    const { recipe, dataset } = work;
    const moved = () => control.countProgress();
    const resumed = await this.resume(work, report);
    const weights = resumed ? null : await this.initialWeights();
    const conventions = resumed?.description.conventions ?? (weights && modelConventions(weights.description.conventions));
    const startStep = resumed?.description.step ?? 0;
    const sizes = await network.openInput(startStep);
    const plan = new TrainingPlan(recipe, sizes.trainSamples);
    // From here on this thread computes; images are loaded meanwhile.
    const session = TrainingSession.create({
      binding,
      recipe,
      numClasses: dataset.classes.length,
      ...(conventions && { conventions }),
    });
    moved();
    try {
      // The first call of each endpoint costs seconds of graph optimisation: here, not in the first step's time.
      await this.leaveIfAsked();
      session.warm();
      moved();
      await this.leaveIfAsked();
      const message = resumed ? null : startTraining(session, work, weights);
      if (resumed) session.setState(stateFor(recipe, resumed));
      if (message !== null) logger.info({ runId: work.runId, attemptId: work.attemptId }, message);
      moved();
      await report.started(plan, message);
      const validation = { sampleCount: sizes.validationSamples, batchSize: recipe.microBatchSize };
      return await train({
        plan,
        session,
        classes: dataset.classes,
        startStep,
        input: trainingInput(network),
        validation: validation.sampleCount === 0 ? null : evaluationInput(network, validation, control),
        checkpoints: checkpointStore(network, (id, objectKey) => report.checkpointStored(id, objectKey)),
        lastCheckpoint: resumed?.reference ?? null,
        report: (event) => report.training(event),
        onMicroBatch: moved,
        shouldStop: () => STOP_REQUESTS[control.stopReason],
      });
    } finally {
      session.close();
    }
  }

  /** @throws WeightsFileError when the stored file is none of ours */
  private async initialWeights(): Promise<StoredWeights | null> {
    const bytes = await this.options.network.readInitialWeights();
    return bytes && decodeWeights(bytes.tensors);
  }

  /** Between two long calls: a signal that came during one is heard here. @throws AttemptEndedError */
  private async leaveIfAsked(): Promise<void> {
    await setImmediate();
    if (this.options.control.stopReason !== 'NONE') throw new AttemptEndedError('the attempt is asked to end before its first step.');
  }

  private async resume(
    work: AttemptWork,
    report: AttemptReport,
  ): Promise<(TrainingCheckpoint & { reference: { checkpointId: string; epoch: number; step: number } }) | null> {
    const bytes = await this.options.network.readResumeCheckpoint();
    if (bytes === null || work.resumeFrom === null) return null;
    const { description, state } = decodeCheckpoint(bytes.tensors, bytes.description);
    const { classes } = work.dataset;
    if (description.classes.join('\n') !== classes.join('\n')) {
      throw new DatasetMismatchError(
        `checkpoint ${work.resumeFrom.checkpointId} knows the classes ${description.classes.join(', ')}, the dataset version has ${classes.join(', ')}.`,
      );
    }
    const reference = { checkpointId: work.resumeFrom.checkpointId, epoch: description.epoch, step: description.step };
    report.resumedFrom(reference);
    return { description, state, reference };
  }
}
