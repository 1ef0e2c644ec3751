import { ShapeError } from '../../errors.js';
import { only } from '../graph.js';
import type { Attributes, Graph } from '../graph.js';
import { describe } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { boolAttribute, elementType, expectShape, intsAttribute, rank2, rank4, stringAttribute } from './attributes.js';

/** a · b with either side transposed first. */
export function matMul(graph: Graph, a: Tensor, b: Tensor, transpose: { a?: boolean; b?: boolean } = {}): Tensor {
  const [aRows, aColumns] = rank2('MatMul', 'a', a);
  const [bRows, bColumns] = rank2('MatMul', 'b', b);
  const [rows, inner] = transpose.a ? [aColumns, aRows] : [aRows, aColumns];
  const [innerB, columns] = transpose.b ? [bColumns, bRows] : [bRows, bColumns];
  if (inner !== innerB) {
    throw new ShapeError(`MatMul: the inner sizes of ${describe(a)} and ${describe(b)} differ (${inner} and ${innerB}).`, {
      a: a.shape,
      b: b.shape,
    });
  }
  const attributes = {
    ...elementType(a),
    transpose_a: boolAttribute(transpose.a ?? false),
    transpose_b: boolAttribute(transpose.b ?? false),
  };
  return only(graph.addNode('MatMul', [a, b], attributes, [{ dtype: a.dtype, shape: [rows, columns] }]));
}

/** Adds a vector along the last axis. */
export function biasAdd(graph: Graph, x: Tensor, bias: Tensor): Tensor {
  expectShape('BiasAdd', 'bias', bias, x.shape.slice(-1));
  return only(graph.addNode('BiasAdd', [x, bias], { ...elementType(x), ...CHANNELS_LAST }, [{ dtype: x.dtype, shape: x.shape }]));
}

/** Sum over every axis but the last. */
export function biasAddGrad(graph: Graph, dy: Tensor): Tensor {
  return only(
    graph.addNode('BiasAddGrad', [dy], { ...elementType(dy), ...CHANNELS_LAST }, [{ dtype: dy.dtype, shape: dy.shape.slice(-1) }]),
  );
}

const CHANNELS_LAST: Attributes = { data_format: stringAttribute('NHWC') };

/** `full` mixes channels, kernel [h, w, in, out]; `depthwise` does not, kernel [h, w, in, multiplier]. */
export type ConvolutionKind = 'full' | 'depthwise';

const FORWARD: Readonly<Record<ConvolutionKind, string>> = { full: 'Conv2D', depthwise: 'DepthwiseConv2dNative' };

/**
 * What surrounds the image, so that the output has ⌈size / stride⌉ pixels: `same` is TensorFlow's rule, which puts an odd pixel at the
 * bottom and right; `symmetric` is PyTorch's habit, ⌊kernel / 2⌋ on every side. They differ where a stride of 2 meets an even size.
 */
export type Padding = 'same' | 'symmetric';

/** How a convolution moves over the image. */
export interface ConvolutionWindow {
  readonly stride: number;
  readonly padding: Padding;
}

function convolutionAttributes(x: Tensor, [kernelHeight = 1, kernelWidth = 1]: Shape, { stride, padding }: ConvolutionWindow): Attributes {
  const [vertical, horizontal] = [Math.floor(kernelHeight / 2), Math.floor(kernelWidth / 2)];
  // With stride 1 both rules say the same, and SAME has the faster kernels.
  const explicit = padding === 'symmetric' && stride > 1;
  return {
    ...elementType(x),
    ...CHANNELS_LAST,
    strides: intsAttribute([1, stride, stride, 1]),
    dilations: intsAttribute([1, 1, 1, 1]),
    padding: stringAttribute(explicit ? 'EXPLICIT' : 'SAME'),
    ...(explicit && { explicit_paddings: intsAttribute([0, 0, vertical, vertical, horizontal, horizontal, 0, 0]) }),
  };
}

/** 2-D convolution with a kernel of odd sides. x: [n, h, w, in] → [n, ⌈h/stride⌉, ⌈w/stride⌉, out] */
export function convolution(graph: Graph, kind: ConvolutionKind, x: Tensor, kernel: Tensor, window: ConvolutionWindow): Tensor {
  const op = FORWARD[kind];
  const [n, height, width, channels] = rank4(op, 'x', x);
  const [kernelHeight, kernelWidth, kernelIn, kernelOut] = rank4(op, 'kernel', kernel);
  if (channels !== kernelIn) {
    throw new ShapeError(`${op}: x ${describe(x)} has ${channels} channels, kernel ${describe(kernel)} takes ${kernelIn}.`, {
      op,
      x: x.shape,
      kernel: kernel.shape,
    });
  }
  if (window.padding === 'symmetric' && (kernelHeight % 2 === 0 || kernelWidth % 2 === 0)) {
    throw new ShapeError(`${op}: kernel ${describe(kernel)} has an even side, symmetric padding needs odd ones.`, {
      op,
      kernel: kernel.shape,
    });
  }
  const { stride } = window;
  const shape = [n, Math.ceil(height / stride), Math.ceil(width / stride), kind === 'full' ? kernelOut : kernelIn * kernelOut];
  return only(graph.addNode(op, [x, kernel], convolutionAttributes(x, kernel.shape, window), [{ dtype: x.dtype, shape }]));
}

/** Gradient of a convolution by its input, which had shape `xShape`. */
export function convolutionInputGrad(
  graph: Graph,
  kind: ConvolutionKind,
  xShape: Shape,
  kernel: Tensor,
  dy: Tensor,
  window: ConvolutionWindow,
): Tensor {
  const attributes = convolutionAttributes(dy, kernel.shape, window);
  const inputs = [graph.ints(xShape), kernel, dy];
  return only(graph.addNode(`${FORWARD[kind]}BackpropInput`, inputs, attributes, [{ dtype: dy.dtype, shape: xShape }]));
}

/** Gradient of a convolution by its kernel, which had shape `kernelShape`. */
export function convolutionKernelGrad(
  graph: Graph,
  kind: ConvolutionKind,
  x: Tensor,
  kernelShape: Shape,
  dy: Tensor,
  window: ConvolutionWindow,
): Tensor {
  const attributes = convolutionAttributes(x, kernelShape, window);
  const inputs = [x, graph.ints(kernelShape), dy];
  return only(graph.addNode(`${FORWARD[kind]}BackpropFilter`, inputs, attributes, [{ dtype: x.dtype, shape: kernelShape }]));
}
