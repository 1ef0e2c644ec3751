import { GraphError } from '../errors.js';
import type { Graph } from './graph.js';
import * as ops from './ops/index.js';
import { describe, sizeOf } from './tensor.js';
import type { Tensor } from './tensor.js';

/**
 * Vector-Jacobian product: from the gradient of the output to those of the inputs, in their order. A gradient may have size 1 along
 * axes where its tensor has more: it then stands for its repetition (see `globalAveragePool`).
 */
export type BackwardPass = (outputGradient: Tensor) => readonly Tensor[];

interface Entry {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly backward: BackwardPass;
}

/** Remembers what was computed, to walk it backwards once. */
export class Tape {
  private readonly entries: Entry[] = [];

  constructor(private readonly graph: Graph) {}

  /** `backward` is called only where the loss depends on the output. */
  record(inputs: readonly Tensor[], output: Tensor, backward: BackwardPass): void {
    this.entries.push({ inputs, output, backward });
  }

  /**
   * d loss / d parameter for each parameter, as new nodes. Only what lies on a path from a parameter to the loss is differentiated.
   * @param lossGradient of the loss's shape: what the gradients are multiplied by from the start on, or, where `loss` is an inner tensor,
   * the gradient that has arrived at it; 1 by default
   * @throws GraphError when the loss does not depend on a parameter
   */
  gradients(loss: Tensor, parameters: readonly Tensor[], lossGradient: Tensor = ops.fillLike(this.graph, loss, 1)): Tensor[] {
    const relevant = this.dependentOn(parameters);
    const pending = new Map<Tensor, Tensor[]>([[loss, [lossGradient]]]);
    for (const { inputs, output, backward } of this.entries.toReversed()) {
      const outputGradient = relevant.has(output) ? this.total(output, pending) : null;
      if (!outputGradient) continue;
      const inputGradients = backward(outputGradient);
      inputs.forEach((input, index) => {
        const gradient = inputGradients[index];
        if (gradient && relevant.has(input)) pending.set(input, [...(pending.get(input) ?? []), gradient]);
      });
    }
    return parameters.map((parameter) => {
      const gradient = this.total(parameter, pending);
      if (!gradient) {
        throw new GraphError(`the loss does not depend on the parameter ${describe(parameter)} "${parameter.node.name}".`, {
          node: parameter.node.name,
        });
      }
      return gradient;
    });
  }

  private dependentOn(parameters: readonly Tensor[]): Set<Tensor> {
    const dependent = new Set(parameters);
    for (const { inputs, output } of this.entries) {
      if (inputs.some((input) => dependent.has(input))) dependent.add(output);
    }
    return dependent;
  }

  /** The sum of what has arrived for a tensor, in the tensor's own shape; remembered, so that it is built once. */
  private total(tensor: Tensor, pending: Map<Tensor, Tensor[]>): Tensor | null {
    // Largest first: a smaller one is then repeated by the addition itself.
    const [first, ...rest] = [...(pending.get(tensor) ?? [])].sort((a, b) => sizeOf(b.shape) - sizeOf(a.shape));
    if (!first) return null;
    const whole = rest.filter((gradient) => sizeOf(gradient.shape) === sizeOf(first.shape));
    const smaller = rest.slice(whole.length);
    let sum = whole.length > 1 ? ops.addN(this.graph, [first, ...whole]) : whole.reduce((a, b) => ops.add(this.graph, a, b), first);
    for (const gradient of smaller) sum = ops.add(this.graph, sum, gradient);
    sum = ops.broadcastTo(this.graph, sum, tensor.shape);
    pending.set(tensor, [sum]);
    return sum;
  }
}
