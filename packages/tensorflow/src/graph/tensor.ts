import { GraphError } from '../errors.js';
import type { Node } from './graph.js';

/** Element types that the graph uses, with TensorFlow's enumeration (tensorflow/core/framework/types.proto). */
export const DATA_TYPES = { float32: 1, int32: 3, uint8: 4, bool: 10, bfloat16: 14, float16: 19, resource: 20 } as const;
export type DType = keyof typeof DATA_TYPES;

/**
 * Element types that layers can compute in: IEEE 754 single and half precision, and the upper half of single precision, which has its
 * range and 8 bits of precision (half: 11 bits, up to 65,504). The lower two exist inside a graph only.
 */
export type ComputeDType = 'float32' | 'bfloat16' | 'float16';

/** Element types that can cross the border between JavaScript and the session. */
export type HostDType = 'float32' | 'int32' | 'uint8';
export interface HostArrays {
  float32: Float32Array;
  int32: Int32Array;
  uint8: Uint8Array;
}
export type HostArray = HostArrays[HostDType];

/**
 * First size of the images in a graph that is exported for others to call: as many as they like. Our own sessions do not run such an endpoint:
 * TensorFlow would optimise it anew for each number.
 */
export const ANY_BATCH = -1;

/** Sizes per dimension; [] is a scalar. Every shape in a graph is fully known, but for ANY_BATCH. */
export type Shape = readonly number[];

/** One output of a node. Shapes are inferred when the node is built. */
export interface Tensor<D extends DType = DType> {
  readonly node: Node;
  readonly index: number;
  readonly dtype: D;
  readonly shape: Shape;
}

/** A tensor without its node: what a feed must be, what a fetch will be. */
export interface TensorSpec<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, axis) => dimension === b[axis]);
}

/** `float32 [8, 224, 224, 3]`, for messages. */
export function describe(tensor: { dtype: DType; shape: Shape }): string {
  return `${tensor.dtype} [${tensor.shape.join(', ')}]`;
}

/** The tensor itself, with its element type known to the compiler. @throws GraphError when it is another */
export function expectDType<D extends DType>(tensor: Tensor, dtype: D): Tensor<D> {
  if (!hasDType(tensor, dtype)) {
    throw new GraphError(`"${tensor.node.name}" is ${describe(tensor)}, expected ${dtype}.`, { node: tensor.node.name, dtype });
  }
  return tensor;
}

function hasDType<D extends DType>(tensor: Tensor, dtype: D): tensor is Tensor<D> {
  return tensor.dtype === dtype;
}
