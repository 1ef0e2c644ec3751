import { GraphError } from '../../errors.js';
import { only } from '../graph.js';
import type { Graph, Node, NodeOptions } from '../graph.js';
import type { Shape, Tensor } from '../tensor.js';
import { boolAttribute, elementType, expectShape, shapeAttribute, stringAttribute, typeAttribute } from './attributes.js';

/** A float32 variable that lives in the session. */
export interface Variable {
  readonly name: string;
  readonly shape: Shape;
  readonly handle: Tensor;
}

/** Declares a variable. It has no value until it is assigned. @throws GraphError where the name is taken */
export function variable(graph: Graph, name: string, shape: Shape): Variable {
  graph.reserveVariable(name);
  const attributes = {
    dtype: typeAttribute('float32'),
    shape: shapeAttribute(shape),
    shared_name: stringAttribute(name),
    container: stringAttribute(''),
  };
  return { name, shape, handle: only(graph.addNode('VarHandleOp', [], attributes, [{ dtype: 'resource', shape: [] }], { name })) };
}

/** The variable's value at this point of the graph; order it against assignments with `options.controls`. */
export function read(graph: Graph, source: Variable, options: NodeOptions = {}): Tensor {
  return only(
    graph.addNode(
      'ReadVariableOp',
      [source.handle],
      { dtype: typeAttribute('float32') },
      [{ dtype: 'float32', shape: source.shape }],
      options,
    ),
  );
}

/**
 * Gives the variable a computed value. A value that was fed must go through `deepCopy` first: the session may adopt the memory of a
 * fed array as its own, and whoever writes into that array later would write into the variable.
 */
export function assign(graph: Graph, target: Variable, value: Tensor, options: NodeOptions = {}): Node {
  const feed = fedMemoryOf(value);
  if (feed) {
    const message = `the value of the variable "${target.name}" may share the memory of the feed "${feed.node.name}": assign it through deepCopy.`;
    throw new GraphError(message, { variable: target.name, feed: feed.node.name });
  }
  expectShape('AssignVariableOp', `value of "${target.name}"`, value, target.shape);
  const attributes = { dtype: typeAttribute('float32'), validate_shape: boolAttribute(false) };
  return graph.addNode('AssignVariableOp', [target.handle, value], attributes, [], options);
}

/** Operations whose result may be a view of their first input. */
const VIEWS = new Set(['Identity', 'Reshape', 'Slice']);

/** The placeholder whose memory the tensor may be, if any. */
function fedMemoryOf(tensor: Tensor): Tensor | null {
  let source = tensor;
  for (let input = source.node.inputs[0]; input && VIEWS.has(source.node.op); input = source.node.inputs[0]) source = input;
  return source.node.op === 'Placeholder' ? source : null;
}

/** A copy in memory of its own. */
export function deepCopy(graph: Graph, x: Tensor): Tensor {
  return only(graph.addNode('DeepCopy', [x], elementType(x), [{ dtype: x.dtype, shape: x.shape }]));
}

export interface AdamInputs {
  /** β₁ᵗ and β₂ᵗ of the update that is being made (t counts from 1), scalars. */
  readonly beta1Power: Tensor;
  readonly beta2Power: Tensor;
  readonly learningRate: Tensor;
  readonly beta1: Tensor;
  readonly beta2: Tensor;
  readonly epsilon: Tensor;
  readonly gradient: Tensor;
}

/** One Adam update (Kingma & Ba 2015, the form before §2.1's last paragraph: ε̂ is added to √v), in one pass over the vectors. */
export function applyAdam(graph: Graph, weights: Variable, m: Variable, v: Variable, inputs: AdamInputs, options: NodeOptions = {}): Node {
  expectShape('ResourceApplyAdam', 'gradient', inputs.gradient, weights.shape);
  return graph.addNode(
    'ResourceApplyAdam',
    [
      weights.handle,
      m.handle,
      v.handle,
      inputs.beta1Power,
      inputs.beta2Power,
      inputs.learningRate,
      inputs.beta1,
      inputs.beta2,
      inputs.epsilon,
      inputs.gradient,
    ],
    { ...elementType(inputs.gradient), use_locking: boolAttribute(false), use_nesterov: boolAttribute(false) },
    [],
    options,
  );
}

export interface MomentumInputs {
  readonly learningRate: Tensor;
  readonly momentum: Tensor;
  readonly gradient: Tensor;
  readonly nesterov: boolean;
}

/**
 * One update of gradient descent with momentum, in one pass: a ← μ·a + g, then w ← w − η·(g + μ·a) with `nesterov`, w ← w − η·a without
 * (Sutskever et al. 2013, in the form of Bengio et al. 2013, eq. 7: the gradient is taken where the weights are).
 */
export function applyMomentum(
  graph: Graph,
  weights: Variable,
  accumulator: Variable,
  inputs: MomentumInputs,
  options: NodeOptions = {},
): Node {
  const { learningRate, gradient, momentum, nesterov } = inputs;
  expectShape('ResourceApplyMomentum', 'gradient', gradient, weights.shape);
  return graph.addNode(
    'ResourceApplyMomentum',
    [weights.handle, accumulator.handle, learningRate, gradient, momentum],
    { ...elementType(gradient), use_locking: boolAttribute(false), use_nesterov: boolAttribute(nesterov) },
    [],
    options,
  );
}
