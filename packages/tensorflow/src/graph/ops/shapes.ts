import { ShapeError } from '../../errors.js';
import { only } from '../graph.js';
import type { Graph } from '../graph.js';
import { describe, sameShape, sizeOf } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { boolAttribute, elementType, intAttribute, typeAttribute } from './attributes.js';

/** The same elements in another shape; x itself where it has it already. */
export function reshape(graph: Graph, x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (sizeOf(x.shape) !== sizeOf(shape)) {
    throw new ShapeError(`Reshape: ${describe(x)} has ${sizeOf(x.shape)} elements, [${shape.join(', ')}] needs ${sizeOf(shape)}.`, {
      got: x.shape,
      expected: shape,
    });
  }
  return only(
    graph.addNode('Reshape', [x, graph.ints(shape)], { ...elementType(x), Tshape: typeAttribute('int32') }, [{ dtype: x.dtype, shape }]),
  );
}

/** Elements [offset, offset + length) of a vector. Zero-copy inside TensorFlow when offset is a multiple of 16 floats. */
export function slice(graph: Graph, x: Tensor, offset: number, length: number): Tensor {
  const size = sizeOf(x.shape);
  if (x.shape.length !== 1 || offset < 0 || length < 0 || offset + length > size) {
    throw new ShapeError(`Slice: [${offset}, ${offset + length}) does not lie in the vector ${describe(x)}.`, {
      got: x.shape,
      offset,
      length,
    });
  }
  const attributes = { ...elementType(x), Index: typeAttribute('int32') };
  return only(graph.addNode('Slice', [x, graph.ints([offset]), graph.ints([length])], attributes, [{ dtype: x.dtype, shape: [length] }]));
}

/** Vectors one after another. */
export function concat(graph: Graph, vectors: readonly [Tensor, ...Tensor[]]): Tensor {
  const odd = vectors.find((vector) => vector.shape.length !== 1 || vector.dtype !== vectors[0].dtype);
  if (odd) throw new ShapeError(`ConcatV2: ${describe(odd)} is not a vector of ${vectors[0].dtype}.`, { got: odd.shape });
  const length = vectors.reduce((sum, vector) => sum + sizeOf(vector.shape), 0);
  const attributes = { ...elementType(vectors[0]), N: intAttribute(vectors.length), Tidx: typeAttribute('int32') };
  return only(
    graph.addNode('ConcatV2', [...vectors, graph.constant('int32', [], [0])], attributes, [{ dtype: vectors[0].dtype, shape: [length] }]),
  );
}

/** Repeats x along axes of size 1 until it has `shape`. */
export function broadcastTo(graph: Graph, x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const fits = x.shape.length === shape.length && x.shape.every((dimension, axis) => dimension === 1 || dimension === shape[axis]);
  if (!fits) {
    throw new ShapeError(`BroadcastTo: ${describe(x)} cannot be repeated to [${shape.join(', ')}].`, { got: x.shape, expected: shape });
  }
  return only(
    graph.addNode('BroadcastTo', [x, graph.ints(shape)], { ...elementType(x), Tidx: typeAttribute('int32') }, [{ dtype: x.dtype, shape }]),
  );
}

/** A float32 vector of zeros, made anew whenever it runs: as a constant TensorFlow would keep it for as long as the graph lives. */
export function zeros(graph: Graph, length: number): Tensor {
  const attributes = { dtype: typeAttribute('float32'), init: boolAttribute(true) };
  return only(graph.addNode('Empty', [graph.ints([length])], attributes, [{ dtype: 'float32', shape: [length] }]));
}

/** A constant in the shape of x. */
export function fillLike(graph: Graph, x: Tensor, value: number): Tensor {
  return broadcastTo(
    graph,
    reshape(
      graph,
      graph.scalar(value),
      x.shape.map(() => 1),
    ),
    x.shape,
  );
}
