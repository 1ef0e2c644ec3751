import { createHash } from 'node:crypto';
import type { TrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import type { EfficientNetSpec, ModelConventions } from '@roentgen/efficientnet';
import { Session } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { InvalidBatchError } from './errors.js';
import type { MicroBatch } from './micro-batch.js';
import { predictImages } from './predictor.js';
import type { Predictions } from './predictor.js';
import type { StepGradients } from './step-gradients.js';
import { buildTrainingGraph } from './training-graph.js';
import type { TrainingGraph } from './training-graph.js';

/** Everything that changes while training, as flat vectors in the layouts of the spec. */
export interface TrainingState {
  readonly weights: Float32Array;
  /** Adam's running mean of the gradient and of its square. */
  readonly adamM: Float32Array;
  readonly adamV: Float32Array;
  /** Running mean and variance of batch norm. */
  readonly statistics: Float32Array;
}

export interface TrainingSessionOptions {
  readonly binding: TensorFlowBinding;
  readonly recipe: TrainingRecipe;
  readonly numClasses: number;
  /** Those of the weights that training starts from; by default of the variant's authors. */
  readonly conventions?: ModelConventions;
  /** Images per predict call; microBatchSize by default. */
  readonly evaluationBatchSize?: number;
}

export interface ApplyOptions {
  /** 0-based index of the step: the number of updates made before. */
  readonly step: number;
  readonly learningRate: number;
  /** Share of the running statistics that is kept, in [0, 1]. */
  readonly statisticsMomentum: number;
}

/** A network in training on one device. Synchronous: each call blocks the thread for as long as it computes. */
export class TrainingSession {
  private constructor(
    readonly recipe: TrainingRecipe,
    readonly spec: EfficientNetSpec,
    private readonly session: Session,
    private readonly graph: TrainingGraph,
  ) {}

  static create({
    binding,
    recipe,
    numClasses,
    conventions,
    evaluationBatchSize = recipe.microBatchSize,
  }: TrainingSessionOptions): TrainingSession {
    const spec = efficientNetSpec(recipe.variant, numClasses, conventions);
    const graph = buildTrainingGraph({ ...recipe, spec, evaluationBatchSize });
    return new TrainingSession(recipe, spec, Session.load(binding, graph.compiled), graph);
  }

  /** Starting weights as a function of the seed, empty optimiser state. */
  initialState(seed: number): TrainingState {
    const empty = () => new Float32Array(this.spec.parameters.length);
    return { ...initializeModel(this.spec, seed), adamM: empty(), adamV: empty() };
  }

  /** Takes copies: the arrays may be overwritten afterwards. @throws FeedError when a vector has the wrong length */
  setState({ weights, adamM, adamV, statistics }: TrainingState): void {
    this.session.run(this.graph.setState, {
      weights: vector(weights),
      adamM: vector(adamM),
      adamV: vector(adamV),
      statistics: vector(statistics),
    });
  }

  getState(): TrainingState {
    return this.session.run(this.graph.getState, {});
  }

  /** SHA-256 of all state, hexadecimal: equal exactly when every bit is. */
  digest(): string {
    const { weights, adamM, adamV, statistics } = this.getState();
    const hash = createHash('sha256');
    for (const part of [weights, adamM, adamV, statistics]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    return hash.digest('hex');
  }

  /** Runs every endpoint once: the first call of each costs seconds of graph optimisation. The state is the same afterwards. */
  warm(): void {
    const state = this.getState();
    this.session.warm(this.graph.gradients);
    this.session.warm(this.graph.predict);
    this.session.warm(this.graph.apply);
    this.setState(state);
  }

  /**
   * Sums over one micro-batch. Changes no state.
   * @param dropoutSeed [2], from the plan
   * @throws FeedError when an array has the wrong type or length; InvalidBatchError when a label is no class
   */
  gradients(batch: MicroBatch, dropoutSeed: Int32Array): StepGradients {
    checkLabels(batch.labels, this.spec.numClasses);
    const { feeds } = this.graph.gradients;
    const sums = this.session.run(this.graph.gradients, {
      images: { data: batch.images, shape: feeds.images.shape },
      labels: vector(batch.labels),
      sampleWeights: vector(batch.weights),
      dropoutSeed: vector(dropoutSeed),
    });
    return {
      gradientSum: sums.gradientSum,
      momentSum: sums.momentSum,
      momentCount: 1,
      lossSum: sums.lossSum[0]!,
      weightSum: sums.weightSum[0]!,
      correctSum: sums.correctSum[0]!,
      sampleCount: sums.sampleCount[0]!,
    };
  }

  /** One update of weights, optimiser and running statistics. → L2 norm of the averaged gradient */
  apply(gradients: StepGradients, { step, learningRate, statisticsMomentum }: ApplyOptions): { readonly gradientNorm: number } {
    const { beta1, beta2 } = this.recipe.optimizer;
    const { gradientNorm } = this.session.run(this.graph.apply, {
      gradientSum: vector(gradients.gradientSum),
      momentSum: vector(gradients.momentSum),
      weightSum: scalar(gradients.weightSum),
      momentCount: scalar(gradients.momentCount),
      statisticsMomentum: scalar(statisticsMomentum),
      learningRate: scalar(learningRate),
      beta1Power: scalar(power(beta1, step + 1)),
      beta2Power: scalar(power(beta2, step + 1)),
    });
    return { gradientNorm: gradientNorm[0]! };
  }

  /** Predicts with the running statistics. @param images [count, s, s, 3] RGB bytes; any count */
  predict(images: Uint8Array, count: number): Predictions {
    return predictImages(this.session, this.graph.predict, images, count);
  }

  /** Frees the session and the memory of its variables. */
  close(): void {
    this.session.close();
  }
}

function vector<A extends Float32Array | Int32Array>(data: A): { data: A; shape: readonly number[] } {
  return { data, shape: [data.length] };
}

function scalar(value: number): { data: Float32Array; shape: readonly number[] } {
  return { data: Float32Array.of(value), shape: [] };
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

/** baseⁿ by squaring: only multiplications, so the same bits on every machine, and no state that a checkpoint would have to carry. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let square = base, rest = exponent; rest > 0; rest = Math.floor(rest / 2), square *= square) if (rest % 2 === 1) result *= square;
  return result;
}
