import { only } from '../graph.js';
import type { Graph } from '../graph.js';
import type { Shape, Tensor } from '../tensor.js';
import { expectShape, typeAttribute } from './attributes.js';

/** Uniform in [0, 1), a pure function of (seed, shape): Philox on every device. seed: [2] int32 */
export function statelessRandomUniform(graph: Graph, shape: Shape, seed: Tensor): Tensor {
  expectShape('StatelessRandomUniform', 'seed', seed, [2]);
  const attributes = { dtype: typeAttribute('float32'), T: typeAttribute('int32'), Tseed: typeAttribute('int32') };
  return only(graph.addNode('StatelessRandomUniform', [graph.ints(shape), seed], attributes, [{ dtype: 'float32', shape }]));
}
