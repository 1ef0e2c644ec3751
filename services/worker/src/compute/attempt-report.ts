import { metric, type RunEventKind } from '@roentgen/domain';
import type { SavedCheckpointRef, TrainingEvent, TrainingPlan, TrainingResult } from '@roentgen/training';
import type { AttemptEvent, NetworkFunctions, Remote, StepObservation } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';
import { failureOf, workerStopping, type Progress } from './failure.js';
import { fromTraining, runEvent } from './run-events.js';

function observationOf({ imagesPerSecond, durations }: Extract<TrainingEvent, { type: 'step-committed' }>): StepObservation {
  const { inputMs, gradientsMs, allReduceMs, applyMs } = durations;
  return { images: Math.round((imagesPerSecond * (inputMs + gradientsMs + allReduceMs + applyMs)) / 1_000), durations };
}

/** Tells the run's event log what happens in an attempt, and remembers where it stands. */
export class AttemptReport {
  private epoch: number | null = null;
  private step = 0;
  private lastCheckpoint: SavedCheckpointRef | null = null;
  private readonly objectKeys = new Map<string, string>();

  constructor(
    private readonly network: Pick<Remote<NetworkFunctions>, 'report'>,
    private readonly control: SharedControl,
  ) {}

  /** The attempt goes on from here. */
  resumedFrom(checkpoint: SavedCheckpointRef): void {
    this.lastCheckpoint = checkpoint;
    this.step = checkpoint.step;
    this.epoch = checkpoint.epoch;
  }

  checkpointStored(checkpointId: string, objectKey: string): void {
    this.objectKeys.set(checkpointId, objectKey);
  }

  /** The first step is about to be computed. @param message what it starts from, where that is worth telling */
  async started(plan: TrainingPlan, message: string | null = null): Promise<void> {
    await this.send('RUN_STARTED', { message, metrics: [metric('run/total-steps', plan.totalSteps)] });
  }

  async training(event: TrainingEvent): Promise<void> {
    this.epoch = event.epoch;
    this.step = event.step;
    if (event.type === 'checkpoint-saved') this.lastCheckpoint = event.checkpoint;
    const fact = fromTraining(event, (checkpointId) => this.objectKeys.get(checkpointId) ?? '');
    await (event.type === 'step-committed' ? this.network.report(fact, observationOf(event)) : this.network.report(fact));
    this.control.countProgress();
  }

  async succeeded(result: TrainingResult): Promise<void> {
    await this.send('RUN_SUCCEEDED', { metrics: [metric('run/total-steps', result.step)] });
  }

  /** The attempt was left at a step boundary because it was asked to. */
  async stopped(): Promise<void> {
    switch (this.control.stopReason) {
      case 'ABANDON':
        return;
      case 'PAUSE':
        return await this.send('RUN_PAUSED', { message: `paused after step ${this.step}.` });
      case 'CANCEL':
        return await this.send('RUN_CANCELLED', { message: `cancelled after step ${this.step}.` });
      case 'STOPPING':
        return await this.send('ATTEMPT_FAILED', { failure: workerStopping(this.progress) });
      case 'NONE':
        throw new TypeError('training stopped although nobody asked for it.');
    }
  }

  /** Asked to leave, an attempt that then fails has left, too: the error is most likely part of it. */
  async failed(error: Error): Promise<void> {
    if (this.control.stopReason !== 'NONE') return await this.stopped();
    const failure = failureOf(error, this.progress);
    await this.send('ATTEMPT_FAILED', { failure, message: failure.message });
  }

  private get progress(): Progress {
    return { epoch: this.epoch, step: this.step, lastCheckpoint: this.lastCheckpoint };
  }

  private async send(kind: RunEventKind, fields: Partial<Pick<AttemptEvent, 'metrics' | 'failure' | 'message'>>): Promise<void> {
    await this.network.report(runEvent(kind, { epoch: this.epoch, step: this.step, ...fields }));
  }
}
