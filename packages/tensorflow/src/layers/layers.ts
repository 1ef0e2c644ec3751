import { GraphError } from '../errors.js';
import { Tape } from '../graph/autodiff.js';
import type { Graph } from '../graph/graph.js';
import * as ops from '../graph/ops/index.js';
import type { ConvolutionKind, Moments, Padding } from '../graph/ops/index.js';
import { sizeOf } from '../graph/tensor.js';
import type { ComputeDType, DType, Tensor } from '../graph/tensor.js';

/** A convolution of a model: `<name>/kernel` holds its weights. */
export interface ConvolutionRef {
  readonly name: string;
  readonly stride: number;
}

/** A batch normalisation of a model: `<name>/gamma`, `/beta`, and the statistics `/moving_mean`, `/moving_variance`. */
export interface NormRef {
  readonly name: string;
}

/** A fully connected layer of a model: `<name>/kernel` and `<name>/bias`. */
export interface DenseRef {
  readonly name: string;
}

export type Activation = 'silu' | 'relu6';

/** What all layers of a network have in common. Weights mean something only under the conventions that they were trained with. */
export interface LayerConventions {
  readonly padding: Padding;
  /** Added to the variance. */
  readonly batchNormEpsilon: number;
  readonly activation: Activation;
}

export interface LayersOptions {
  readonly graph: Graph;
  /** Trainable tensors by name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** Running statistics of batch norm by name. */
  readonly statistics: ReadonlyMap<string, Tensor>;
  /** `batch` normalises with the moments of the batch itself, `frozen` with the running statistics. */
  readonly batchNorm: 'batch' | 'frozen';
  readonly conventions: LayerConventions;
  /** [2] int32 that all randomness of this pass is a function of; null switches dropout and drop-connect off. */
  readonly dropoutSeed: Tensor | null;
  /**
   * What convolutions, batch norm and activations compute in; float32 by default. Parameters, moments, means over an image, dense layers and
   * the loss are float32 in any case, and so are the gradients of parameters that come out.
   */
  readonly computeType?: ComputeDType;
  /** Whether `segment`s keep nothing but their input for the backward pass; false by default. */
  readonly recompute?: boolean;
}

/**
 * Differentiable layers. Each is its forward operation and its gradient side by side, on TensorFlow's fused kernels; activations are
 * [n, height, width, channels] of the compute type or [n, channels] float32.
 */
export class Layers {
  readonly graph: Graph;
  readonly tape: Tape;
  /** Mean and variance of this batch per batch norm, by the name of the statistic that they will be averaged into. */
  readonly batchMoments = new Map<string, Tensor>();
  private readonly usedParameters = new Set<Tensor>();
  /** Activations that are cheaper to compute again than to keep, and how, from an input that waits for the gradient. */
  private readonly repeatable = new Map<Tensor, (after: Tensor) => Tensor>();

  /** @param randomLayers how many layers with random numbers come before the first of these */
  constructor(
    private readonly options: LayersOptions,
    private randomLayers = 0,
  ) {
    this.graph = options.graph;
    this.tape = new Tape(options.graph);
  }

  /**
   * Part of a network that is computed a second time on the way back instead of being kept (gradient checkpointing: Chen et al. 2016,
   * "Training deep nets with sublinear memory cost"), where the options want it. Its random layers repeat their numbers, and the moments
   * of its batch norms are taken from the first pass.
   * @param build the part as a function of its input, on the layers that it is given; called twice
   */
  segment(x: Tensor, build: (nn: Layers, x: Tensor) => Tensor): Tensor {
    if (this.options.recompute !== true) return build(this, x);
    const first = this.randomLayers;
    const forward = new Layers(this.options, first);
    const y = build(forward, x);
    this.randomLayers = forward.randomLayers;
    forward.batchMoments.forEach((moment, name) => this.batchMoments.set(name, moment));
    const parameters = [...forward.usedParameters];
    this.tape.record([x, ...parameters], y, (dy) => {
      const again = new Layers(this.options, first);
      // Without the wait for dy, TensorFlow's optimiser sees the same computation twice and keeps the first one, which saves nothing.
      const input = ops.identity(this.graph, x, { name: 'recompute', controls: [dy.node] });
      return again.tape.gradients(build(again, input), [input, ...parameters], dy);
    });
    return y;
  }

  /** [n, h, w, in] → [n, ⌈h/stride⌉, ⌈w/stride⌉, out] */
  conv(x: Tensor, ref: ConvolutionRef): Tensor {
    return this.convolution('full', x, ref);
  }

  /** One filter per channel. [n, h, w, c] → [n, ⌈h/stride⌉, ⌈w/stride⌉, c] */
  depthwiseConv(x: Tensor, ref: ConvolutionRef): Tensor {
    return this.convolution('depthwise', x, ref);
  }

  private convolution(kind: ConvolutionKind, input: Tensor, { name, stride }: ConvolutionRef): Tensor {
    const { computeType = 'float32' } = this.options;
    const x = this.cast(input, computeType);
    const kernel = this.cast(this.parameter(`${name}/kernel`), computeType);
    const window = { stride, padding: this.options.conventions.padding };
    const y = ops.convolution(this.graph, kind, x, kernel, window);
    this.tape.record([x, kernel], y, (dy) => [
      ops.convolutionInputGrad(this.graph, kind, x.shape, kernel, dy, window),
      ops.convolutionKernelGrad(this.graph, kind, this.repeatable.get(x)?.(dy) ?? x, kernel.shape, dy, window),
    ]);
    return y;
  }

  /** Batch normalisation per channel (Ioffe & Szegedy 2015). Assigns nothing: the batch's moments are left in `batchMoments`. */
  batchNorm(x: Tensor, { name }: NormRef): Tensor {
    const gamma = this.parameter(`${name}/gamma`);
    const beta = this.parameter(`${name}/beta`);
    const epsilon = this.options.conventions.batchNormEpsilon;
    const moments: Moments =
      this.options.batchNorm === 'batch'
        ? null
        : { mean: this.statistic(`${name}/moving_mean`), variance: this.statistic(`${name}/moving_variance`) };
    const forward = ops.fusedBatchNorm(this.graph, x, gamma, beta, moments, epsilon);
    if (moments === null) {
      this.batchMoments.set(`${name}/moving_mean`, forward.batchMean);
      this.batchMoments.set(`${name}/moving_variance`, forward.batchVariance);
    }
    this.tape.record([x, gamma, beta], forward.y, (dy) => ops.fusedBatchNormGrad(this.graph, dy, x, gamma, forward, moments, epsilon));
    return forward.y;
  }

  /** The network's non-linearity, silu or relu6 by its conventions. Any shape. */
  activation(x: Tensor): Tensor {
    return this.options.conventions.activation === 'silu' ? this.silu(x) : this.relu6(x);
  }

  /** SiLU, x · σ(x) (Elfwing et al. 2018). Keeps σ for the backward pass: recomputing it costs 25 % of the step. */
  silu(x: Tensor): Tensor {
    const s = ops.sigmoid(this.graph, x);
    // Of a segment's two passes TensorFlow would fuse only the first, which does not keep σ, into a kernel that rounds in another way.
    const y = this.options.recompute === true ? ops.mulNoNan(this.graph, x, s) : ops.mul(this.graph, x, s);
    // dy · (s + x · s · (1 − s)) in three passes, without a temporary for dy · x.
    this.tape.record([x], y, (dy) => [ops.mul(this.graph, dy, ops.add(this.graph, s, ops.sigmoidGrad(this.graph, s, x)))]);
    return y;
  }

  /** min(max(x, 0), 6) (Krizhevsky 2010): bounded, so that it survives quantisation. Keeps y: x is then free. */
  relu6(x: Tensor): Tensor {
    const y = ops.relu6(this.graph, x);
    this.tape.record([x], y, (dy) => [ops.relu6Grad(this.graph, y, dy)]);
    return y;
  }

  sigmoid(x: Tensor): Tensor {
    const y = ops.sigmoid(this.graph, x);
    this.tape.record([x], y, (dy) => [ops.sigmoidGrad(this.graph, y, dy)]);
    return y;
  }

  /** a + b of one shape: a residual connection. */
  add(a: Tensor, b: Tensor): Tensor {
    const y = ops.add(this.graph, a, b);
    this.tape.record([a, b], y, (dy) => [dy, dy]);
    return y;
  }

  /** Multiplies each channel of each image: x [n, h, w, c], factors [n, c] → [n, h, w, c]. The last step of squeeze-and-excitation. */
  scaleChannels(x: Tensor, factors: Tensor): Tensor {
    const [n = 0, channels = 0] = factors.shape;
    const perPixel = ops.cast(this.graph, ops.reshape(this.graph, factors, [n, 1, 1, channels]), x.dtype);
    const y = ops.mul(this.graph, x, perPixel);
    // x is kept in any case. One multiplication is the price of a tenth of all activations.
    this.repeatable.set(y, (after) =>
      ops.mul(this.graph, ops.identity(this.graph, x, { name: 'repeat', controls: [after.node] }), perPixel),
    );
    this.tape.record([x, factors], y, (dy) => [
      ops.mul(this.graph, dy, perPixel),
      ops.sum(this.graph, ops.cast(this.graph, ops.mul(this.graph, dy, x), factors.dtype), [1, 2]),
    ]);
    return y;
  }

  /** Mean over height and width. [n, h, w, c] → [n, c] float32 */
  globalAveragePool(x: Tensor): Tensor {
    const [n = 0, height = 0, width = 0, channels = 0] = x.shape;
    // In float32: thousands of addends lose what little precision a shorter type has.
    const y = ops.mean(this.graph, ops.cast(this.graph, x, 'float32'), [1, 2]);
    // The gradient stays [n, 1, 1, c]: where another one arrives, the addition repeats it for free.
    this.tape.record([x], y, (dy) => [
      ops.cast(
        this.graph,
        ops.reshape(this.graph, ops.mul(this.graph, dy, this.graph.scalar(1 / (height * width))), [n, 1, 1, channels]),
        x.dtype,
      ),
    ]);
    return y;
  }

  /** x · W + b. [n, in] → [n, out]; the kernel may be stored as [in, out] or as a 1 × 1 convolution [1, 1, in, out]. */
  dense(x: Tensor, { name }: DenseRef): Tensor {
    const kernel = this.parameter(`${name}/kernel`);
    const bias = this.parameter(`${name}/bias`);
    const matrix = ops.reshape(this.graph, kernel, kernel.shape.slice(-2));
    const y = ops.biasAdd(this.graph, ops.matMul(this.graph, x, matrix), bias);
    this.tape.record([x, kernel, bias], y, (dy) => [
      ops.matMul(this.graph, dy, matrix, { b: true }),
      ops.reshape(this.graph, ops.matMul(this.graph, x, dy, { a: true }), kernel.shape),
      ops.biasAddGrad(this.graph, dy),
    ]);
    return y;
  }

  /** Sets each element to zero with probability `rate` and scales the rest by 1 / (1 − rate) (Srivastava et al. 2014). */
  dropout(x: Tensor, rate: number): Tensor {
    return this.drop(x, rate, x.shape);
  }

  /** Drops a whole residual branch per image (stochastic depth, Huang et al. 2016). x: [n, h, w, c] */
  dropConnect(x: Tensor, rate: number): Tensor {
    return this.drop(x, rate, [x.shape[0] ?? 0, ...x.shape.slice(1).map(() => 1)]);
  }

  /** Random numbers are f(seed, position of this layer in the pass), so a pass can be repeated bit by bit. */
  private drop(x: Tensor, rate: number, maskShape: readonly number[]): Tensor {
    if (!(rate >= 0 && rate < 1)) throw new GraphError(`a drop rate of ${rate} is not in [0, 1).`, { rate });
    const layer = this.randomLayers++;
    if (rate === 0 || this.options.dropoutSeed === null) return x;
    const seed = ops.add(this.graph, this.options.dropoutSeed, this.graph.ints([layer, 0]));
    const kept = ops.greaterEqual(this.graph, ops.statelessRandomUniform(this.graph, maskShape, seed), this.graph.scalar(rate));
    const scaled = ops.mul(this.graph, ops.cast(this.graph, kept, 'float32'), this.graph.scalar(1 / (1 - rate)));
    const mask = ops.cast(this.graph, scaled, x.dtype);
    const y = ops.mul(this.graph, x, mask);
    this.tape.record([x], y, (dy) => [ops.mul(this.graph, dy, mask)]);
    return y;
  }

  /**
   * Σ weightᵢ · cross entropyᵢ over the batch: the sum, not the mean, so that sums over micro-batches can be divided once by the total
   * weight. logits [n, k], labels [n] int32 in [0, k), weights [n] → scalar. Label smoothing as in Szegedy et al. 2016, §7.
   */
  weightedCrossEntropySum(logits: Tensor, labels: Tensor, weights: Tensor, labelSmoothing: number): Tensor {
    const [n = 0, classes = 0] = logits.shape;
    const off = labelSmoothing / classes;
    const targets = ops.oneHot(this.graph, labels, classes, 1 - labelSmoothing + off, off);
    const { losses, logitsGrad } = ops.softmaxCrossEntropy(this.graph, logits, targets);
    const sum = ops.sum(this.graph, ops.mul(this.graph, losses, weights), [0]);
    this.tape.record([logits], sum, (dSum) => [
      ops.mul(this.graph, logitsGrad, ops.reshape(this.graph, ops.mul(this.graph, weights, dSum), [n, 1])),
    ]);
    return sum;
  }

  /** x in another element type; its gradient comes back in x's own. */
  private cast(x: Tensor, dtype: DType): Tensor {
    const y = ops.cast(this.graph, x, dtype);
    if (y !== x) this.tape.record([x], y, (dy) => [ops.cast(this.graph, dy, x.dtype)]);
    return y;
  }

  private parameter(name: string): Tensor {
    const parameter = find(this.options.parameters, 'parameter', name);
    this.usedParameters.add(parameter);
    return parameter;
  }

  private statistic(name: string): Tensor {
    return find(this.options.statistics, 'running statistic', name);
  }
}

function find(tensors: ReadonlyMap<string, Tensor>, what: string, name: string): Tensor {
  const tensor = tensors.get(name);
  if (!tensor || sizeOf(tensor.shape) === 0) throw new GraphError(`the model has no ${what} "${name}".`, { name });
  return tensor;
}
