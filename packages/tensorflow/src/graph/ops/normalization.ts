import { GraphError } from '../../errors.js';
import type { Attributes, Graph, Node } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { boolAttribute, expectShape, floatAttribute, rank4, stringAttribute, typeAttribute } from './attributes.js';

/** Mean and variance to normalise with; null takes those of the batch itself. */
export type Moments = { readonly mean: Tensor; readonly variance: Tensor } | null;

export interface FusedBatchNorm {
  readonly y: Tensor;
  readonly batchMean: Tensor;
  /** With Bessel's correction (n / (n − 1)), as PyTorch keeps it; Keras 3 keeps the biased one. */
  readonly batchVariance: Tensor;
  /** What the gradient kernel wants back. Its third part has a shape that only the kernel knows. */
  readonly reserved: readonly [Tensor, Tensor, Tensor];
}

function attributes(x: Tensor, epsilon: number, training: boolean): Attributes {
  return {
    T: typeAttribute(x.dtype),
    U: typeAttribute('float32'),
    epsilon: floatAttribute(epsilon),
    data_format: stringAttribute('NHWC'),
    is_training: boolAttribute(training),
  };
}

function outputs<N extends number>(node: Node, count: N): readonly Tensor[] & { length: N } {
  if (node.outputs.length !== count) {
    throw new GraphError(`${node.op} has ${node.outputs.length} outputs, expected ${count}.`, { node: node.name });
  }
  return node.outputs as readonly Tensor[] & { length: N };
}

/** γ (x − mean) / √(variance + ε) + β per channel, in one kernel. x: [n, h, w, c]; γ, β and moments: [c] float32 */
export function fusedBatchNorm(graph: Graph, x: Tensor, gamma: Tensor, beta: Tensor, moments: Moments, epsilon: number): FusedBatchNorm {
  const [, , , channels] = rank4('FusedBatchNormV3', 'x', x);
  expectShape('FusedBatchNormV3', 'gamma', gamma, [channels]);
  expectShape('FusedBatchNormV3', 'beta', beta, [channels]);
  const perChannel = { dtype: 'float32', shape: [channels] } as const;
  const none = graph.constant('float32', [0], []);
  const node = graph.addNode(
    'FusedBatchNormV3',
    [x, gamma, beta, moments?.mean ?? none, moments?.variance ?? none],
    { ...attributes(x, epsilon, moments === null), exponential_avg_factor: floatAttribute(1) },
    [{ dtype: x.dtype, shape: x.shape }, perChannel, perChannel, perChannel, perChannel, { dtype: 'float32', shape: [0] }],
  );
  const [y, batchMean, batchVariance, reserved1, reserved2, reserved3] = outputs(node, 6) as readonly [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  return { y, batchMean, batchVariance, reserved: [reserved1, reserved2, reserved3] };
}

/** Gradients of `fusedBatchNorm` by x, γ and β. */
export function fusedBatchNormGrad(
  graph: Graph,
  dy: Tensor,
  x: Tensor,
  gamma: Tensor,
  forward: FusedBatchNorm,
  moments: Moments,
  epsilon: number,
): readonly [dx: Tensor, dGamma: Tensor, dBeta: Tensor] {
  const [mean, variance, extra] = forward.reserved;
  const unused = { dtype: 'float32', shape: [0] } as const;
  const node = graph.addNode(
    'FusedBatchNormGradV3',
    [dy, x, gamma, moments?.mean ?? mean, moments?.variance ?? variance, extra],
    attributes(x, epsilon, moments === null),
    [
      { dtype: x.dtype, shape: x.shape },
      { dtype: 'float32', shape: gamma.shape },
      { dtype: 'float32', shape: gamma.shape },
      unused,
      unused,
    ],
  );
  const [dx, dGamma, dBeta] = outputs(node, 5) as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
  return [dx, dGamma, dBeta];
}
