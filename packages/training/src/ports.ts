import type { EncodedCheckpoint } from './checkpoint.js';
import type { EvaluationMetrics } from './classification-metrics.js';
import type { MicroBatch } from './micro-batch.js';
import type { StepGradients } from './step-gradients.js';

/** Where the training images come from. */
export interface TrainingInput {
  /** The micro-batches of a step (0-based), in the order of the plan. */
  batch(step: number): Promise<readonly MicroBatch[]>;
}

/** Adds the gradients of all workers. Every member gets the same bits. */
export interface Collective {
  allReduce(step: number, local: StepGradients): Promise<StepGradients>;
}

/** A checkpoint that was stored; `step` counts committed steps, `epoch` from 1. */
export interface SavedCheckpointRef {
  readonly checkpointId: string;
  readonly epoch: number;
  readonly step: number;
}

export interface CheckpointStore {
  /** Resolves when the checkpoint would survive the loss of this process. The bytes are the store's from then on: they are not looked at again. */
  save(checkpoint: EncodedCheckpoint): Promise<SavedCheckpointRef>;
}

/** What to do at a step boundary. */
export type StopRequest = 'continue' | 'checkpoint-and-stop' | 'stop';

export interface StepDurations {
  /** Waiting for images. */
  readonly inputMs: number;
  readonly gradientsMs: number;
  readonly allReduceMs: number;
  readonly applyMs: number;
}

/** What happens in a run, in order. `epoch` counts from 1, `step` counts committed steps. */
export type TrainingEvent =
  | {
      readonly type: 'epoch-started';
      readonly epoch: number;
      readonly epochs: number;
      readonly step: number;
      readonly stepsPerEpoch: number;
      /** Indices of samples that this epoch does not train on. */
      readonly leftOutSamples: readonly number[];
    }
  | {
      readonly type: 'step-committed';
      readonly epoch: number;
      readonly step: number;
      readonly totalSteps: number;
      /** Weighted mean over the global batch. */
      readonly loss: number;
      /** Share of the global batch that was classified right, before the update. */
      readonly accuracy: number;
      readonly learningRate: number;
      /** L2 norm of the averaged gradient, before clipping; NaN where it overflowed. */
      readonly gradientNorm: number;
      /** What the loss was multiplied by in this step; null unless the precision is fp16. */
      readonly lossScale: number | null;
      /** The gradient overflowed at this loss scale, so the step made no update. */
      readonly skipped: boolean;
      readonly imagesPerSecond: number;
      readonly durations: StepDurations;
    }
  | {
      readonly type: 'evaluated';
      readonly epoch: number;
      readonly step: number;
      readonly metrics: EvaluationMetrics;
      readonly durationMs: number;
    }
  | {
      readonly type: 'checkpoint-saved';
      readonly epoch: number;
      readonly step: number;
      readonly checkpoint: SavedCheckpointRef;
      readonly sha256: string;
      readonly bytes: number;
    };
