import type { FinishedNetwork, NetworkLayers } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import type { ConvolutionRef, DenseRef, NormRef, Padding, Shape } from '@roentgen/tensorflow';
import { OnnxExportError } from '../errors.js';
import type { OnnxInitializer, OnnxNode } from './encode-model.js';

/** float32 [batch, channels, height, width] in the graph. A pooled one is [batch, channels, 1, 1], one after a matrix product [batch, channels]. */
export interface FeatureMap {
  /** Of the value that holds it; of the layer, while that is only noted down. */
  readonly name: string;
  readonly channels: number;
  readonly heightPx: number;
  readonly widthPx: number;
  /** A convolution that waits for the batch norm after it, to become one operation with it. */
  readonly pending?: { readonly input: FeatureMap; readonly ref: ConvolutionRef; readonly isDepthwise: boolean };
}

interface NamedTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/**
 * Layers that write ONNX nodes instead of TensorFlow ones, for prediction: batch norm uses the running statistics and is folded into the
 * convolution before it, nothing is dropped. A folded kernel is computed in float64 and rounded once, so logits differ from the unfolded
 * ones by rounding only.
 */
export class OnnxLayers implements NetworkLayers<FeatureMap> {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxInitializer[] = [];
  private readonly tensors = new Map<string, NamedTensor>();
  private readonly used = new Map<string, number>();

  constructor(private readonly network: FinishedNetwork) {
    const { spec, weights, statistics } = network;
    for (const [layout, vector] of [[spec.parameters, weights] as const, [spec.statistics, statistics] as const]) {
      if (vector.length !== layout.length) {
        throw new OnnxExportError(`a vector of ${vector.length} values does not fit ${spec.variant}, whose layout has ${layout.length}.`);
      }
      for (const entry of layout.entries) this.tensors.set(entry.name, { shape: entry.shape, data: viewEntry(vector, entry) });
    }
  }

  conv(input: FeatureMap, ref: ConvolutionRef): FeatureMap {
    const channels = this.tensor(`${ref.name}/kernel`).shape[3] ?? 0;
    return { name: ref.name, channels, ...strided(input, ref.stride), pending: { input, ref, isDepthwise: false } };
  }

  depthwiseConv(input: FeatureMap, ref: ConvolutionRef): FeatureMap {
    return { name: ref.name, channels: input.channels, ...strided(input, ref.stride), pending: { input, ref, isDepthwise: true } };
  }

  /** γ (w ∗ x − mean) / √(variance + ε) + β = (w · s) ∗ x + (β − mean · s), where s = γ / √(variance + ε) per channel. */
  batchNorm(x: FeatureMap, { name }: NormRef): FeatureMap {
    const { pending, ...output } = x;
    if (!pending) throw new OnnxExportError(`batch norm "${name}" does not follow a convolution: it cannot be folded into one.`);
    const { input, ref, isDepthwise } = pending;
    const [gamma, beta, mean, variance] = ['gamma', 'beta', 'moving_mean', 'moving_variance'].map(
      (part) => this.tensor(`${name}/${part}`).data,
    );
    const epsilon = this.network.spec.conventions.batchNormEpsilon;
    const scale = Float64Array.from(gamma!, (value, channel) => value / Math.sqrt(variance![channel]! + epsilon));
    const bias = Float32Array.from(scale, (value, channel) => beta![channel]! - mean![channel]! * value);
    const kernel = this.tensor(`${ref.name}/kernel`);
    const [height = 0, width = 0] = kernel.shape;
    const folded = isDepthwise ? depthwiseKernel(kernel, scale) : fullKernel(kernel, scale);
    const [top, bottom] = paddingPx(input.heightPx, height, ref.stride, this.network.spec.conventions.padding);
    const [left, right] = paddingPx(input.widthPx, width, ref.stride, this.network.spec.conventions.padding);
    const inputs = [valueOf(input), this.constant(`${ref.name}/kernel`, folded), this.constant(`${ref.name}/bias`, vectorOf(bias))];
    this.node('Conv', ref.name, inputs, {
      group: isDepthwise ? input.channels : 1,
      kernel_shape: [height, width],
      pads: [top, left, bottom, right],
      strides: [ref.stride, ref.stride],
    });
    return output;
  }

  activation(x: FeatureMap): FeatureMap {
    return this.network.spec.conventions.activation === 'silu' ? this.silu(x) : this.relu6(x);
  }

  sigmoid(x: FeatureMap): FeatureMap {
    return { ...x, name: this.node('Sigmoid', `${x.name}/sigmoid`, [valueOf(x)]) };
  }

  add(a: FeatureMap, b: FeatureMap): FeatureMap {
    return { ...b, name: this.node('Add', `${b.name}/add`, [valueOf(a), valueOf(b)]) };
  }

  scaleChannels(x: FeatureMap, factors: FeatureMap): FeatureMap {
    return { ...x, name: this.node('Mul', `${factors.name}/scale`, [valueOf(x), valueOf(factors)]) };
  }

  globalAveragePool(x: FeatureMap): FeatureMap {
    return { ...x, heightPx: 1, widthPx: 1, name: this.node('GlobalAveragePool', `${x.name}/pool`, [valueOf(x)]) };
  }

  /** A 1 × 1 convolution where the kernel is stored as one, else a product of matrices. */
  dense(x: FeatureMap, { name }: DenseRef): FeatureMap {
    const kernel = this.tensor(`${name}/kernel`);
    const bias = this.constant(`${name}/bias`, this.tensor(`${name}/bias`));
    const output = { ...x, name, channels: kernel.shape.at(-1) ?? 0 };
    if (kernel.shape.length === 4) {
      const weights = this.constant(`${name}/kernel`, fullKernel(kernel, null));
      this.node('Conv', name, [valueOf(x), weights, bias], { kernel_shape: [1, 1] });
    } else {
      const flat = this.node('Flatten', `${x.name}/flat`, [valueOf(x)], { axis: 1 });
      this.node('Gemm', name, [flat, this.constant(`${name}/kernel`, kernel), bias]);
    }
    return output;
  }

  dropout(x: FeatureMap): FeatureMap {
    return x;
  }

  dropConnect(x: FeatureMap): FeatureMap {
    return x;
  }

  segment(x: FeatureMap, build: (nn: OnnxLayers, x: FeatureMap) => FeatureMap): FeatureMap {
    return build(this, x);
  }

  /** Appends an operation. → name of its value, which is also the node's */
  node(op: string, name: string, inputs: readonly string[], attributes: OnnxNode['attributes'] = {}): string {
    const count = this.used.get(name) ?? 0;
    this.used.set(name, count + 1);
    const unique = count === 0 ? name : `${name}_${count}`;
    this.nodes.push({ op, name: unique, inputs, output: unique, attributes });
    return unique;
  }

  constant(name: string, { shape, data }: NamedTensor): string {
    if (!this.initializers.some((known) => known.name === name)) this.initializers.push({ name, shape, data });
    return name;
  }

  private silu(x: FeatureMap): FeatureMap {
    return { ...x, name: this.node('Mul', `${x.name}/silu`, [valueOf(x), this.sigmoid(x).name]) };
  }

  private relu6(x: FeatureMap): FeatureMap {
    const bounds = [0, 6].map((bound) => this.constant(`relu6/${bound}`, { shape: [], data: Float32Array.of(bound) }));
    return { ...x, name: this.node('Clip', `${x.name}/relu6`, [valueOf(x), ...bounds]) };
  }

  private tensor(name: string): NamedTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new OnnxExportError(`${this.network.spec.variant} has no tensor "${name}".`);
    return tensor;
  }
}

function valueOf({ name, pending }: FeatureMap): string {
  if (pending) throw new OnnxExportError(`convolution "${name}" is not followed by its batch norm.`);
  return name;
}

function strided({ heightPx, widthPx }: FeatureMap, stride: number): Pick<FeatureMap, 'heightPx' | 'widthPx'> {
  return { heightPx: Math.ceil(heightPx / stride), widthPx: Math.ceil(widthPx / stride) };
}

/**
 * Pixels before and after, written out rather than as `auto_pad`, which not every runtime has. `same` puts an odd pixel after
 * (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
 */
export function paddingPx(sizePx: number, kernelSize: number, stride: number, padding: Padding): readonly [before: number, after: number] {
  if (padding === 'symmetric') return [Math.floor(kernelSize / 2), Math.floor(kernelSize / 2)];
  const total = Math.max(0, (Math.ceil(sizePx / stride) - 1) * stride + kernelSize - sizePx);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** [h, w, in, out] → [out, in, h, w], each output channel times its scale */
function fullKernel({ shape, data }: NamedTensor, scale: Float64Array | null): NamedTensor {
  const [height = 0, width = 0, inputs = 0, outputs = 0] = shape;
  const pixels = height * width;
  const moved = new Float32Array(data.length);
  for (let from = 0, pixel = 0; pixel < pixels; pixel++) {
    for (let input = 0; input < inputs; input++) {
      for (let output = 0; output < outputs; output++) {
        moved[(output * inputs + input) * pixels + pixel] = data[from++]! * (scale?.[output] ?? 1);
      }
    }
  }
  return { shape: [outputs, inputs, height, width], data: moved };
}

/** [h, w, c, 1] → [c, 1, h, w], each channel times its scale */
function depthwiseKernel({ shape, data }: NamedTensor, scale: Float64Array): NamedTensor {
  const [height = 0, width = 0, channels = 0] = shape;
  const pixels = height * width;
  const moved = new Float32Array(data.length);
  for (let from = 0, pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < channels; channel++) moved[channel * pixels + pixel] = data[from++]! * scale[channel]!;
  }
  return { shape: [channels, 1, height, width], data: moved };
}

const vectorOf = (data: Float32Array): NamedTensor => ({ shape: [data.length], data });
