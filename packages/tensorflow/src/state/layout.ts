import { GraphError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import * as ops from '../graph/ops/index.js';
import { describe, sameShape, sizeOf } from '../graph/tensor.js';
import type { Shape, Tensor } from '../graph/tensor.js';

/** Offsets are multiples of 16 floats (64 bytes): TensorFlow then slices without copying. */
const ALIGNMENT_FLOATS = 16;

/** A named piece of a flat vector. `group` says how an optimiser or an importer treats it. */
export interface LayoutEntry<G extends string = string> {
  readonly name: string;
  readonly shape: Shape;
  readonly group: G;
  /** First float in the vector. */
  readonly offset: number;
  /** Number of floats, padding not counted. */
  readonly length: number;
}

/** How named tensors lie in one flat float32 vector; the padding between them is always zero. */
export interface StateLayout<G extends string = string> {
  readonly entries: readonly LayoutEntry<G>[];
  /** Floats of the whole vector, padding counted. */
  readonly length: number;
}

/** Puts tensors one after another. @throws GraphError when a name occurs twice */
export function createLayout<G extends string>(
  tensors: readonly { readonly name: string; readonly shape: Shape; readonly group: G }[],
): StateLayout<G> {
  const names = new Set<string>();
  let offset = 0;
  const entries = tensors.map(({ name, shape, group }) => {
    if (names.has(name)) throw new GraphError(`the layout already has a tensor "${name}".`, { name });
    names.add(name);
    const entry: LayoutEntry<G> = { name, shape, group, offset, length: sizeOf(shape) };
    offset += Math.ceil(entry.length / ALIGNMENT_FLOATS) * ALIGNMENT_FLOATS;
    return entry;
  });
  return { entries, length: offset };
}

/** The entry's floats inside the vector; writing to them writes to the vector. */
export function viewEntry(vector: Float32Array, entry: LayoutEntry): Float32Array {
  return vector.subarray(entry.offset, entry.offset + entry.length);
}

/** The named tensors of a flat vector, in the graph. */
export function unpack(graph: Graph, vector: Tensor, layout: StateLayout): Map<string, Tensor> {
  return new Map(
    layout.entries.map(({ name, shape, offset, length }) => [name, ops.reshape(graph, ops.slice(graph, vector, offset, length), shape)]),
  );
}

/** One flat vector of named tensors, in the graph; the inverse of `unpack`. @throws GraphError when one is missing or of another shape */
export function pack(graph: Graph, tensors: ReadonlyMap<string, Tensor>, layout: StateLayout): Tensor {
  const pieces: Tensor[] = [];
  layout.entries.forEach((entry, index) => {
    const tensor = tensors.get(entry.name);
    if (!tensor || !sameShape(tensor.shape, entry.shape)) {
      const got = tensor ? describe(tensor) : 'missing';
      throw new GraphError(`"${entry.name}" is ${got}, the layout wants [${entry.shape.join(', ')}].`, { name: entry.name });
    }
    pieces.push(ops.reshape(graph, tensor, [entry.length]));
    const next = layout.entries[index + 1]?.offset ?? layout.length;
    const padding = next - entry.offset - entry.length;
    if (padding > 0) pieces.push(graph.constant('float32', [padding], new Float32Array(padding)));
  });
  const [first, ...rest] = pieces;
  if (!first) throw new GraphError('an empty layout has no vector.');
  return ops.concat(graph, [first, ...rest]);
}
