import { ShapeError } from '../../errors.js';
import { only } from '../graph.js';
import type { Graph } from '../graph.js';
import { describe } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { boolAttribute, elementType, typeAttribute } from './attributes.js';

function reduce(graph: Graph, op: string, x: Tensor, axes: readonly number[]): Tensor {
  const wrong = axes.find((axis) => axis < 0 || axis >= x.shape.length);
  if (wrong !== undefined) throw new ShapeError(`${op}: ${describe(x)} has no axis ${wrong}.`, { op, got: x.shape, axes });
  const shape = x.shape.filter((_, axis) => !axes.includes(axis));
  const attributes = { ...elementType(x), Tidx: typeAttribute('int32'), keep_dims: boolAttribute(false) };
  return only(graph.addNode(op, [x, graph.ints(axes)], attributes, [{ dtype: x.dtype, shape }]));
}

/** Sum over axes, which disappear. */
export const sum = (graph: Graph, x: Tensor, axes: readonly number[]): Tensor => reduce(graph, 'Sum', x, axes);
/** Mean over axes, which disappear. */
export const mean = (graph: Graph, x: Tensor, axes: readonly number[]): Tensor => reduce(graph, 'Mean', x, axes);

/** Index of the greatest element along the last axis; the first one on a tie. [n, k] → [n] int32 */
export function argMax(graph: Graph, x: Tensor): Tensor {
  const axis = x.shape.length - 1;
  const attributes = { ...elementType(x), Tidx: typeAttribute('int32'), output_type: typeAttribute('int32') };
  return only(
    graph.addNode('ArgMax', [x, graph.constant('int32', [], [axis])], attributes, [{ dtype: 'int32', shape: x.shape.slice(0, axis) }]),
  );
}

/** Σ x² / 2: TensorFlow's fused kernel. → scalar */
export function halfSquaredNorm(graph: Graph, x: Tensor): Tensor {
  return only(graph.addNode('L2Loss', [x], elementType(x), [{ dtype: x.dtype, shape: [] }]));
}
