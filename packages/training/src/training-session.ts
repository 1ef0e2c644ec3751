import { createHash } from 'node:crypto';
import type { TrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import type { EfficientNetSpec, ModelConventions, ModelVectors } from '@roentgen/efficientnet';
import { Session } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import type { AugmentationFeeds } from './augmentation/feeds.js';
import { InvalidBatchError } from './errors.js';
import { FIRST_LOSS_SCALING, LEAST_SCALE, afterOverflow, afterUpdate, encodeLossScaling } from './loss-scaling.js';
import type { LossScaling } from './loss-scaling.js';
import type { MicroBatch } from './micro-batch.js';
import { masksOf } from './optimizer/masks.js';
import { emptySlots, stateOf, stateVectorNames, stateVectors } from './optimizer/training-state.js';
import type { TrainingState } from './optimizer/training-state.js';
import { rampedDecay, stepScalars } from './optimizer/update.js';
import { predictImages } from './predictor.js';
import type { Predictions } from './predictor.js';
import { addStepSums } from './step-gradients.js';
import type { StepGradients, StepSums } from './step-gradients.js';
import { buildTrainingGraph } from './training-graph.js';
import type { TrainingGraph } from './training-graph.js';
import { TreeSum } from './tree-sum.js';

export interface TrainingSessionOptions {
  readonly binding: TensorFlowBinding;
  readonly recipe: TrainingRecipe;
  readonly numClasses: number;
  /** Those of the weights that training starts from; by default of the variant's authors. */
  readonly conventions?: ModelConventions;
  /** Images per predict call; microBatchSize by default. */
  readonly evaluationBatchSize?: number;
}

export interface SeededBatch {
  readonly batch: MicroBatch;
  /** [2], from the plan. */
  readonly dropoutSeed: Int32Array;
  /** From the plan; nothing where the recipe changes no images. */
  readonly augmentation?: AugmentationFeeds;
}

/** Where a step stands. */
export interface StepPosition {
  /** 0-based index of the step: the number of steps committed before. */
  readonly step: number;
  /** What learns; everything, since step 0, by default. */
  readonly phase?: TrainingPhase;
}

export interface ApplyOptions extends StepPosition {
  readonly learningRate: number;
  /** Share of the running statistics that is kept, in [0, 1]. */
  readonly statisticsMomentum: number;
}

/** Steps in which the same parameters learn. A phase starts with an empty optimiser. */
export interface TrainingPhase {
  /** Its first step, 0-based. */
  readonly firstStep: number;
  /** Only the classifier learns. */
  readonly headOnly: boolean;
}

const EVERYTHING_LEARNS: TrainingPhase = { firstStep: 0, headOnly: false };

/** A network in training on one device. Synchronous: each call blocks the thread for as long as it computes. */
export class TrainingSession {
  private lossScaling: LossScaling | null;

  private constructor(
    readonly recipe: TrainingRecipe,
    readonly spec: EfficientNetSpec,
    private readonly session: Session,
    private readonly graph: TrainingGraph,
  ) {
    this.lossScaling = firstLossScaling(recipe);
  }

  static create({
    binding,
    recipe,
    numClasses,
    conventions,
    evaluationBatchSize = recipe.microBatchSize,
  }: TrainingSessionOptions): TrainingSession {
    const spec = efficientNetSpec(recipe.variant, numClasses, conventions);
    const graph = buildTrainingGraph({ ...recipe, spec, evaluationBatchSize });
    const session = Session.load(binding, graph.compiled);
    if (graph.setMasks) session.run(graph.setMasks, vectors(masksOf(recipe, spec)));
    return new TrainingSession(recipe, spec, session, graph);
  }

  /** Starting weights as a function of the seed, empty optimiser state. */
  initialState(seed: number): TrainingState {
    const model = initializeModel(this.spec, seed);
    const ema = this.recipe.emaDecay === null ? null : model.weights.slice();
    const slots = emptySlots(this.recipe, this.spec.parameters.length);
    return { ...model, slots, ema, lossScaling: firstLossScaling(this.recipe) };
  }

  /**
   * `setState` of a model with an empty optimiser, without vectors for what is empty.
   * @throws FeedError when a vector has the wrong length
   */
  start(model: ModelVectors): void {
    this.session.run(this.graph.start, { weights: vector(model.weights), statistics: vector(model.statistics) });
    this.lossScaling = firstLossScaling(this.recipe);
  }

  /** Takes copies: the arrays may be overwritten afterwards. @throws FeedError when a vector is missing or has the wrong length */
  setState(state: TrainingState): void {
    this.session.run(this.graph.setState, vectors(stateVectors(state)));
    this.lossScaling = firstLossScaling(this.recipe) && (state.lossScaling ?? FIRST_LOSS_SCALING);
  }

  getState(): TrainingState {
    return stateOf(this.recipe, this.session.run(this.graph.getState, {}), this.lossScaling);
  }

  /** What the loss is multiplied by before its gradient is taken; null unless the precision is fp16. */
  get lossScale(): number | null {
    return this.lossScaling?.scale ?? null;
  }

  /** SHA-256 of all state, hexadecimal: equal exactly when every bit is. */
  digest(): string {
    const state = this.session.run(this.graph.getState, {});
    const hash = createHash('sha256');
    for (const name of stateVectorNames(this.recipe)) {
      const part = state[name]!;
      hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
    if (this.lossScaling) hash.update(new Uint8Array(encodeLossScaling(this.lossScaling).buffer));
    return hash.digest('hex');
  }

  /** Runs every endpoint once: the first call of each costs seconds of graph optimisation. Comes before the state is set, which it leaves undefined. */
  warm(): void {
    this.session.warm(this.graph.start);
    this.session.warm(this.graph.getState);
    this.session.warm(this.graph.emptyOptimizer);
    const { gradients, sum, predict, apply } = this.graph;
    this.session.warm(gradients);
    for (const endpoint of [...sum.stash, ...sum.fold, sum.read, sum.set, sum.check]) this.session.warm(endpoint);
    this.session.warm(predict);
    this.session.warm(apply);
  }

  /**
   * Adds up the gradients of a step's micro-batches in tree order, where they are computed; only numbers come back. Changes no state.
   * @param batches in the order of the plan, at most globalBatchSize / microBatchSize
   * @throws FeedError when an array has the wrong type or length; InvalidBatchError when a label is no class or
   * there are too many micro-batches
   */
  sumGradients(batches: readonly SeededBatch[], onMicroBatch?: () => void): StepSums {
    const { stash, fold } = this.graph.sum;
    checkCount(batches.length, this.recipe);
    let stashed = 0;
    const sum = new TreeSum<StepSums>((left, right) => {
      this.session.run(fold[--stashed]!, {});
      return addStepSums(left, right);
    });
    batches.forEach((seeded, index) => {
      if (index > 0) this.session.run(stash[stashed++]!, {});
      sum.push(this.microBatchSums(seeded));
      onMicroBatch?.();
    });
    return sum.finish();
  }

  /** The current sum's vectors, as copies: [P] and [B]. */
  readSum(): Pick<StepGradients, 'gradientSum' | 'momentSum'> {
    return this.session.run(this.graph.sum.read, {});
  }

  /** Makes the sum that others had a part in the current one. Takes copies. @throws FeedError when a vector has the wrong length */
  setSum({ gradientSum, momentSum }: Pick<StepGradients, 'gradientSum' | 'momentSum'>): void {
    this.session.run(this.graph.sum.set, { gradientSum: vector(gradientSum), momentSum: vector(momentSum) });
  }

  /** Whether mean loss, moments and the squared norm of the mean gradient are float32 numbers; false too where nothing has weight. */
  isSumFinite({ lossSum, weightSum, momentCount }: StepSums): boolean {
    if (!Number.isFinite(lossSum / weightSum)) return false;
    const norms = this.session.run(this.graph.sum.check, { weightSum: scalar(weightSum), momentCount: scalar(momentCount) });
    return Number.isFinite(norms.gradientNorm[0]) && Number.isFinite(norms.momentNorm[0]);
  }

  /** One update of weights, optimiser and running statistics with the current sum. → L2 norm of the averaged gradient, before clipping */
  applySum(
    { weightSum, momentCount }: StepSums,
    { step, learningRate, statisticsMomentum, phase = EVERYTHING_LEARNS }: ApplyOptions,
  ): { readonly gradientNorm: number } {
    const { optimizer, emaDecay } = this.recipe;
    this.enterPhase(step, phase);
    const { apply } = this.graph;
    const updates = step - phase.firstStep - (this.lossScaling?.skippedSteps ?? 0);
    const ofRecipe: Readonly<Record<string, number>> = {
      ...stepScalars(optimizer, learningRate, updates),
      ...('bodyLearns' in apply.feeds && { bodyLearns: phase.headOnly ? 0 : 1 }),
      ...(emaDecay !== null && { emaDecay: rampedDecay(emaDecay, step) }),
    };
    const { gradientNorm } = this.session.run(apply, {
      weightSum: scalar(weightSum),
      momentCount: scalar(momentCount),
      statisticsMomentum: scalar(statisticsMomentum),
      ...Object.fromEntries(Object.entries(ofRecipe).map(([name, value]) => [name, scalar(value)])),
    });
    this.lossScaling &&= afterUpdate(this.lossScaling);
    return { gradientNorm: gradientNorm[0]! };
  }

  /**
   * Whether a sum that is not finite is no sign of divergence: loss and moments are, and the loss scale of fp16, under which the gradient
   * overflowed, can be lowered.
   */
  canSkip({ lossSum, weightSum, momentCount }: StepSums): boolean {
    if (this.lossScale === null || this.lossScale <= LEAST_SCALE) return false;
    const norms = this.session.run(this.graph.sum.check, { weightSum: scalar(weightSum), momentCount: scalar(momentCount) });
    return Number.isFinite(lossSum / weightSum) && Number.isFinite(norms.momentNorm[0]);
  }

  /** Ends a step without an update: the loss scale is half as high in the next one. */
  skip({ step, phase = EVERYTHING_LEARNS }: StepPosition): void {
    this.enterPhase(step, phase);
    this.lossScaling &&= afterOverflow(this.lossScaling);
  }

  private enterPhase(step: number, phase: TrainingPhase): void {
    if (step !== phase.firstStep || step === 0) return;
    // Moments of parameters that did not learn are 0: corrected for as many steps, they would make the first updates several times too long.
    this.session.run(this.graph.emptyOptimizer, {});
    this.lossScaling &&= { ...this.lossScaling, skippedSteps: 0 };
  }

  /** Sums over one micro-batch with their vectors. Changes no state. @throws like `sumGradients` */
  gradients(batch: MicroBatch, dropoutSeed: Int32Array, augmentation: AugmentationFeeds = {}): StepGradients {
    return { ...this.sumGradients([{ batch, dropoutSeed, augmentation }]), ...this.readSum() };
  }

  /** `setSum`, then `applySum`. */
  apply(gradients: StepGradients, options: ApplyOptions): { readonly gradientNorm: number } {
    this.setSum(gradients);
    return this.applySum(gradients, options);
  }

  private microBatchSums({ batch, dropoutSeed, augmentation }: SeededBatch): StepSums {
    checkLabels(batch.labels, this.spec.numClasses);
    const { feeds } = this.graph.gradients;
    const sums = this.session.run(this.graph.gradients, {
      images: { data: batch.images, shape: feeds.images.shape },
      labels: vector(batch.labels),
      sampleWeights: vector(batch.weights),
      dropoutSeed: vector(dropoutSeed),
      ...augmentation,
      ...(this.lossScaling && { lossScale: scalar(this.lossScaling.scale) }),
    });
    return {
      momentCount: 1,
      lossSum: sums.lossSum[0]!,
      weightSum: sums.weightSum[0]!,
      correctSum: sums.correctSum[0]!,
      sampleCount: sums.sampleCount[0]!,
    };
  }

  /** Predicts with the running statistics, and with the moving average of the weights where there is one. @param images [count, s, s, 3] RGB bytes; any count */
  predict(images: Uint8Array, count: number): Predictions {
    return predictImages(this.session, this.graph.predict, images, count);
  }

  /** Frees the session and the memory of its variables. */
  close(): void {
    this.session.close();
  }
}

function firstLossScaling({ precision }: TrainingRecipe): LossScaling | null {
  return precision === 'fp16' ? FIRST_LOSS_SCALING : null;
}

function vector<A extends Float32Array | Int32Array>(data: A): { data: A; shape: readonly number[] } {
  return { data, shape: [data.length] };
}

function vectors(data: Readonly<Record<string, Float32Array>>): Record<string, ReturnType<typeof vector<Float32Array>>> {
  return Object.fromEntries(Object.entries(data).map(([name, values]) => [name, vector(values)]));
}

function scalar(value: number): { data: Float32Array; shape: readonly number[] } {
  return { data: Float32Array.of(value), shape: [] };
}

function checkCount(got: number, { globalBatchSize, microBatchSize }: TrainingRecipe): void {
  const most = globalBatchSize / microBatchSize;
  if (got >= 1 && got <= most) return;
  throw new InvalidBatchError(`${got} micro-batches are no step: it has 1 to ${most} (globalBatchSize / microBatchSize).`, { got, most });
}

function checkLabels(labels: Int32Array, numClasses: number): void {
  const wrong = labels.findIndex((label) => label < 0 || label >= numClasses);
  if (wrong === -1) return;
  const label = labels[wrong];
  throw new InvalidBatchError(`label ${label} at position ${wrong} is no class: the model has ${numClasses}, numbered from 0.`, {
    label,
    position: wrong,
    numClasses,
  });
}
