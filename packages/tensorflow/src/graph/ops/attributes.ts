import { ShapeError } from '../../errors.js';
import type { AttributeValue, Attributes } from '../graph.js';
import { describe, sameShape } from '../tensor.js';
import type { DType, Shape, Tensor } from '../tensor.js';

export const typeAttribute = (value: DType): AttributeValue => ({ kind: 'type', value });
export const intAttribute = (value: number): AttributeValue => ({ kind: 'int', value });
export const intsAttribute = (value: readonly number[]): AttributeValue => ({ kind: 'ints', value });
export const floatAttribute = (value: number): AttributeValue => ({ kind: 'float', value });
export const boolAttribute = (value: boolean): AttributeValue => ({ kind: 'bool', value });
export const stringAttribute = (value: string): AttributeValue => ({ kind: 'string', value });
export const shapeAttribute = (value: Shape): AttributeValue => ({ kind: 'shape', value });

/** The `T` attribute that most operations have. */
export const elementType = (tensor: Tensor): Attributes => ({ T: typeAttribute(tensor.dtype) });

/** Shape of an elementwise result under the usual broadcasting from the right. @throws ShapeError */
export function broadcastShape(op: string, a: Tensor, b: Tensor): Shape {
  if (a.dtype !== b.dtype) {
    throw new ShapeError(`${op}: ${describe(a)} and ${describe(b)} have different element types.`, { op, a: a.shape, b: b.shape });
  }
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a.shape[axis - rank + a.shape.length] ?? 1;
    const right = b.shape[axis - rank + b.shape.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(
        `${op}: ${describe(a)} and ${describe(b)} cannot be broadcast to one shape (axis ${axis}: ${left} and ${right}).`,
        { op, a: a.shape, b: b.shape },
      );
    }
    return left === 1 ? right : left;
  });
}

/** @throws ShapeError naming the operation, the argument and both shapes */
export function expectShape(op: string, argument: string, tensor: Tensor, shape: Shape): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new ShapeError(`${op}: ${argument} is ${describe(tensor)}, expected shape [${shape.join(', ')}].`, {
      op,
      argument,
      got: tensor.shape,
      expected: shape,
    });
  }
}

/** The sizes of a 4-D tensor. @throws ShapeError */
export function rank4(op: string, argument: string, tensor: Tensor): [number, number, number, number] {
  const [a, b, c, d, ...more] = tensor.shape;
  if (a === undefined || b === undefined || c === undefined || d === undefined || more.length > 0) {
    throw new ShapeError(`${op}: ${argument} is ${describe(tensor)}, expected four dimensions.`, { op, argument, got: tensor.shape });
  }
  return [a, b, c, d];
}

/** The sizes of a matrix. @throws ShapeError */
export function rank2(op: string, argument: string, tensor: Tensor): [number, number] {
  const [rows, columns, ...more] = tensor.shape;
  if (rows === undefined || columns === undefined || more.length > 0) {
    throw new ShapeError(`${op}: ${argument} is ${describe(tensor)}, expected two dimensions.`, { op, argument, got: tensor.shape });
  }
  return [rows, columns];
}
