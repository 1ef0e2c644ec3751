import { GraphError } from '../../errors.js';
import { only } from '../graph.js';
import type { Graph } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { elementType, expectShape, intAttribute, rank2, typeAttribute } from './attributes.js';

/** Probabilities along the last axis. [n, k] → [n, k] */
export function softmax(graph: Graph, logits: Tensor): Tensor {
  return only(graph.addNode('Softmax', [logits], elementType(logits), [{ dtype: logits.dtype, shape: logits.shape }]));
}

/** [n] int32 → [n, classes] float32 that is `on` at the label and `off` elsewhere. */
export function oneHot(graph: Graph, labels: Tensor, classes: number, on: number, off: number): Tensor {
  const inputs = [labels, graph.constant('int32', [], [classes]), graph.scalar(on), graph.scalar(off)];
  const attributes = { T: typeAttribute('float32'), TI: typeAttribute(labels.dtype), axis: intAttribute(-1) };
  return only(graph.addNode('OneHot', inputs, attributes, [{ dtype: 'float32', shape: [...labels.shape, classes] }]));
}

/** Cross entropy of each row with its target distribution, and its gradient by the logits, from one kernel. */
export function softmaxCrossEntropy(
  graph: Graph,
  logits: Tensor,
  targets: Tensor,
): { readonly losses: Tensor; readonly logitsGrad: Tensor } {
  const [n] = rank2('SoftmaxCrossEntropyWithLogits', 'logits', logits);
  expectShape('SoftmaxCrossEntropyWithLogits', 'targets', targets, logits.shape);
  const node = graph.addNode('SoftmaxCrossEntropyWithLogits', [logits, targets], elementType(logits), [
    { dtype: logits.dtype, shape: [n] },
    { dtype: logits.dtype, shape: logits.shape },
  ]);
  const [losses, logitsGrad] = node.outputs;
  if (!losses || !logitsGrad) throw new GraphError(`${node.op} has no gradient output.`, { node: node.name });
  return { losses, logitsGrad };
}
