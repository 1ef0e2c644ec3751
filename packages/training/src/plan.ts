import { InvalidRecipeError, microBatchesPerEpoch, stepsPerEpoch } from '@roentgen/domain';
import type { TrainingRecipe } from '@roentgen/domain';
import { augmentationFeeds } from './augmentation/feeds.js';
import type { AugmentationFeeds } from './augmentation/feeds.js';
import { randomStreams } from './random-streams.js';
import type { TrainingPhase } from './training-session.js';

/** One place in a micro-batch. */
export interface MicroBatchSlot {
  /** Index into the train split. */
  readonly sample: number;
  /** The slot only fills the batch: its weight is 0. */
  readonly padding: boolean;
}

/** What one session call computes. Fixed by the recipe, whoever computes it. */
export interface MicroBatchPlan {
  /** 0-based. */
  readonly step: number;
  /** Position in the step, 0-based: the leaf of the summation tree. */
  readonly index: number;
  /** Exactly microBatchSize. */
  readonly slots: readonly MicroBatchSlot[];
}

/**
 * Which samples, learning rate and random numbers each step has: a pure function of (recipe, size of the train split). `step` is
 * 0-based and counts over all epochs; `epoch` counts from 1.
 */
export class TrainingPlan {
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  private readonly microBatchesPerEpoch: number;
  private readonly microBatchesPerStep: number;
  private cachedOrder: { readonly epoch: number; readonly order: Uint32Array } | null = null;

  /** @throws InvalidRecipeError when the train split has not one micro-batch to give */
  constructor(
    readonly recipe: TrainingRecipe,
    readonly sampleCount: number,
  ) {
    const { microBatchSize, globalBatchSize, batchNorm, epochs } = recipe;
    this.microBatchesPerEpoch = microBatchesPerEpoch(recipe, sampleCount);
    if (this.microBatchesPerEpoch < 1) {
      const rule =
        batchNorm === 'batch' ? `Use a microBatchSize of at most ${sampleCount}, or batchNorm "frozen".` : 'Import at least one image.';
      const message = `microBatchSize ${microBatchSize} is more than the ${sampleCount} images of the train split: there is not one whole micro-batch. ${rule}`;
      throw new InvalidRecipeError(message, [{ field: 'microBatchSize', message }]);
    }
    this.microBatchesPerStep = globalBatchSize / microBatchSize;
    this.stepsPerEpoch = stepsPerEpoch(recipe, sampleCount);
    this.totalSteps = this.stepsPerEpoch * epochs;
  }

  epochOf(step: number): number {
    return Math.floor(step / this.stepsPerEpoch) + 1;
  }

  startsEpoch(step: number): boolean {
    return step % this.stepsPerEpoch === 0;
  }

  /** Whether the epoch is over once `committed` steps are done. */
  endsEpoch(committed: number): boolean {
    return committed > 0 && committed % this.stepsPerEpoch === 0;
  }

  /** Whether a checkpoint is due once `committed` steps are done. */
  checkpointsAfter(committed: number): boolean {
    if (committed === this.totalSteps) return true;
    return this.endsEpoch(committed) && (committed / this.stepsPerEpoch) % this.recipe.checkpointEveryEpochs === 0;
  }

  /** The samples of an epoch in the order in which they are used (Fisher & Yates 1938, as in Durstenfeld 1964). */
  sampleOrder(epoch: number): Uint32Array {
    if (this.cachedOrder?.epoch === epoch) return this.cachedOrder.order;
    const order = Uint32Array.from({ length: this.sampleCount }, (_, index) => index);
    const random = randomStreams.shuffle(this.recipe.seed, epoch);
    for (let last = order.length - 1; last > 0; last--) {
      const chosen = random.nextBelow(last + 1);
      [order[last], order[chosen]] = [order[chosen]!, order[last]!];
    }
    this.cachedOrder = { epoch, order };
    return order;
  }

  /** The step's micro-batches; the last step of an epoch may have fewer than the others. */
  microBatches(step: number): readonly MicroBatchPlan[] {
    const first = (step % this.stepsPerEpoch) * this.microBatchesPerStep;
    const count = Math.min(this.microBatchesPerStep, this.microBatchesPerEpoch - first);
    return Array.from({ length: count }, (_, index) => ({ step, index, slots: this.slots(this.epochOf(step), first + index) }));
  }

  private slots(epoch: number, microBatchOfEpoch: number): MicroBatchSlot[] {
    const { microBatchSize } = this.recipe;
    const order = this.sampleOrder(epoch);
    return Array.from({ length: microBatchSize }, (_, index) => {
      const position = microBatchOfEpoch * microBatchSize + index;
      const padding = position >= order.length;
      return { sample: order[padding ? 0 : position]!, padding };
    });
  }

  /** Samples that this epoch does not train on. */
  leftOut(epoch: number): readonly number[] {
    return [...this.sampleOrder(epoch).subarray(this.microBatchesPerEpoch * this.recipe.microBatchSize)];
  }

  /**
   * Rises linearly over the warm-up, then falls to finalFraction: as half a cosine (Loshchilov & Hutter 2017, eq. 5, one cycle), or by the
   * same factor in each step.
   */
  learningRate(step: number): number {
    const { learningRate, schedule } = this.recipe;
    const { warmupSteps } = schedule;
    if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
    if (schedule.kind === 'constant') return learningRate;
    const progress = (step - warmupSteps) / Math.max(1, this.totalSteps - warmupSteps);
    const { kind, finalFraction } = schedule;
    if (kind === 'exponential') return learningRate * finalFraction ** progress;
    return learningRate * (finalFraction + (1 - finalFraction) * 0.5 * (1 + Math.cos(Math.PI * progress)));
  }

  /** What learns in a step: the classifier alone in the recipe's first frozen epochs, then everything. */
  phase(step: number): TrainingPhase {
    const { until, epochs } = this.recipe.freeze;
    const frozenSteps = until === 'head' ? epochs * this.stepsPerEpoch : 0;
    return step < frozenSteps ? { firstStep: 0, headOnly: true } : { firstStep: frozenSteps, headOnly: false };
  }

  /**
   * How much of the running statistics a step keeps. Rises to batchNormMomentum like the decay of TensorFlow's
   * ExponentialMovingAverage with num_updates: with a constant 0.99 a run of 60 steps would still predict with half of the
   * statistics that it started with.
   */
  statisticsMomentum(step: number): number {
    return Math.min(this.recipe.batchNormMomentum, (1 + step) / (10 + step));
  }

  /** [2] int32 that the dropout of one micro-batch is a function of. */
  dropoutSeed(step: number, microBatch: number): Int32Array {
    const random = randomStreams.dropout(this.recipe.seed, step, microBatch);
    return Int32Array.of(random.nextUint32(), random.nextUint32());
  }

  /** How the images of a micro-batch are changed before the network sees them; of each sample the same whatever micro-batch it is in. */
  augmentation({ step, slots }: MicroBatchPlan): AugmentationFeeds {
    const samples = slots.map(({ sample }) => sample);
    return augmentationFeeds(this.recipe, this.epochOf(step), samples);
  }
}
