import { only } from '../graph.js';
import type { Graph, NodeOptions } from '../graph.js';
import type { DType, Tensor } from '../tensor.js';
import { boolAttribute, broadcastShape, elementType, expectShape, typeAttribute } from './attributes.js';

function unary(graph: Graph, op: string, x: Tensor): Tensor {
  return only(graph.addNode(op, [x], elementType(x), [{ dtype: x.dtype, shape: x.shape }]));
}

function binary(graph: Graph, op: string, a: Tensor, b: Tensor): Tensor {
  const shape = broadcastShape(op, a, b);
  return only(graph.addNode(op, [a, b], elementType(a), [{ dtype: a.dtype, shape }]));
}

/** a + b, broadcasting. */
export const add = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'AddV2', a, b);
/** a − b, broadcasting. */
export const sub = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'Sub', a, b);
/** a · b, broadcasting. */
export const mul = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'Mul', a, b);
/** a · b, broadcasting; 0 where b is 0, whatever a is. Unlike `mul` it is never fused with what comes before it. */
export const mulNoNan = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'MulNoNan', a, b);
/** a / b, broadcasting; floating point only. */
export const div = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'RealDiv', a, b);
/** The greater of a and b, broadcasting. */
export const maximum = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'Maximum', a, b);
/** The smaller of a and b, broadcasting. */
export const minimum = (graph: Graph, a: Tensor, b: Tensor): Tensor => binary(graph, 'Minimum', a, b);
export const square = (graph: Graph, x: Tensor): Tensor => unary(graph, 'Square', x);
export const sqrt = (graph: Graph, x: Tensor): Tensor => unary(graph, 'Sqrt', x);
/** σ(x) = 1 / (1 + e^−x). */
export const sigmoid = (graph: Graph, x: Tensor): Tensor => unary(graph, 'Sigmoid', x);

/** dy · y · (1 − y), where y = σ(x): TensorFlow's fused kernel. */
export function sigmoidGrad(graph: Graph, y: Tensor, dy: Tensor): Tensor {
  expectShape('SigmoidGrad', 'dy', dy, y.shape);
  return only(graph.addNode('SigmoidGrad', [y, dy], elementType(y), [{ dtype: y.dtype, shape: y.shape }]));
}

/** min(max(x, 0), 6). */
export const relu6 = (graph: Graph, x: Tensor): Tensor => unary(graph, 'Relu6', x);

/** dy where 0 < y < 6, else 0, where y = relu6(x): TensorFlow's fused kernel. */
export function relu6Grad(graph: Graph, y: Tensor, dy: Tensor): Tensor {
  expectShape('Relu6Grad', 'dy', dy, y.shape);
  return only(graph.addNode('Relu6Grad', [dy, y], elementType(y), [{ dtype: y.dtype, shape: y.shape }]));
}

/** Sum of tensors of one shape. */
export function addN(graph: Graph, tensors: readonly [Tensor, ...Tensor[]]): Tensor {
  const [first, ...rest] = tensors;
  rest.forEach((tensor, index) => expectShape('AddN', `input ${index + 1}`, tensor, first.shape));
  const attributes = { ...elementType(first), N: { kind: 'int', value: tensors.length } as const };
  return only(graph.addNode('AddN', tensors, attributes, [{ dtype: first.dtype, shape: first.shape }]));
}

/** a ≥ b as bool, broadcasting. */
export function greaterEqual(graph: Graph, a: Tensor, b: Tensor): Tensor {
  return only(graph.addNode('GreaterEqual', [a, b], elementType(a), [{ dtype: 'bool', shape: broadcastShape('GreaterEqual', a, b) }]));
}

/** a > b as bool, broadcasting. */
export function greater(graph: Graph, a: Tensor, b: Tensor): Tensor {
  return only(graph.addNode('Greater', [a, b], elementType(a), [{ dtype: 'bool', shape: broadcastShape('Greater', a, b) }]));
}

/** a = b as bool, broadcasting. */
export function equal(graph: Graph, a: Tensor, b: Tensor): Tensor {
  const attributes = { ...elementType(a), incompatible_shape_error: boolAttribute(true) };
  return only(graph.addNode('Equal', [a, b], attributes, [{ dtype: 'bool', shape: broadcastShape('Equal', a, b) }]));
}

/** Converts element types; bool becomes 0 and 1. */
export function cast(graph: Graph, x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const attributes = { SrcT: typeAttribute(x.dtype), DstT: typeAttribute(dtype), Truncate: boolAttribute(false) };
  return only(graph.addNode('Cast', [x], attributes, [{ dtype, shape: x.shape }]));
}

/** x itself under a name of its own, after `options.controls`: what an endpoint fetches. */
export function identity(graph: Graph, x: Tensor, options: NodeOptions = {}): Tensor {
  return only(graph.addNode('Identity', [x], elementType(x), [{ dtype: x.dtype, shape: x.shape }], options));
}
