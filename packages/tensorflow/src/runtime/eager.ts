import { SessionError } from '../errors.js';
import type { Endpoint, Feeds, Fetches, NamedTensors } from '../graph/endpoint.js';
import type { Attributes, AttributeValue, Node } from '../graph/graph.js';
import { DATA_TYPES } from '../graph/tensor.js';
import type { Tensor } from '../graph/tensor.js';
import type { TensorFlowBinding } from './binding.js';
import { checkFeeds } from './feeds.js';

interface EagerAttribute {
  name: string;
  type: number;
  value: boolean | number | string | number[];
}

/**
 * Runs the same graph as `Session`, one operation at a time and without any graph optimisation: slower, but an error names the node,
 * and it is the independent opinion that tests compare the compiled graph with. Variables live as long as the interpreter.
 */
export class EagerInterpreter {
  /** Handles that outlive a call: constants and variables. */
  private readonly kept = new Map<Node, number>();

  constructor(private readonly binding: TensorFlowBinding) {}

  run<F extends NamedTensors, O extends NamedTensors>(endpoint: Endpoint<F, O>, feeds: Feeds<F>): Fetches<O> {
    const fed = new Map(checkFeeds(endpoint, feeds).map(({ placeholder, feed }) => [placeholder.node, feed]));
    const live = new Map<Node, readonly number[]>();
    try {
      for (const node of executionOrder(Object.values(endpoint.fetches))) {
        const feed = fed.get(node);
        if (feed) live.set(node, [this.binding.createTensor([...feed.shape], DATA_TYPES[node.outputs[0]!.dtype], feed.data)]);
        else if (node.op !== 'Const' && node.op !== 'VarHandleOp') live.set(node, this.execute(node, live));
      }
      const values = Object.entries(endpoint.fetches).map(([name, tensor]) => [
        name,
        this.binding.tensorDataSync(this.handle(tensor, live)),
      ]);
      return Object.fromEntries(values) as Fetches<O>;
    } finally {
      for (const handles of live.values()) handles.forEach((handle) => this.binding.deleteTensor(handle));
    }
  }

  /** Frees constants and variables. */
  close(): void {
    for (const handle of this.kept.values()) this.binding.deleteTensor(handle);
    this.kept.clear();
  }

  private execute(node: Node, live: ReadonlyMap<Node, readonly number[]>): number[] {
    try {
      const inputs = node.inputs.map((input) => this.handle(input, live));
      return this.binding.executeOp(node.op, this.attributes(node.attributes), inputs, node.outputs.length).map(({ id }) => id);
    } catch (cause) {
      throw new SessionError(
        `${node.op} "${node.name}" failed: ${cause instanceof Error ? cause.message : String(cause)}`,
        { node: node.name },
        { cause },
      );
    }
  }

  private handle(tensor: Tensor, live: ReadonlyMap<Node, readonly number[]>): number {
    const handle = live.get(tensor.node)?.[tensor.index] ?? this.kept.get(tensor.node) ?? this.keep(tensor.node);
    if (handle === undefined) throw new SessionError(`"${tensor.node.name}" has not run yet.`, { node: tensor.node.name });
    return handle;
  }

  private keep(node: Node): number | undefined {
    const value = node.attributes['value'];
    let handle: number | undefined;
    if (value?.kind === 'tensor') handle = this.binding.createTensor([...value.shape], DATA_TYPES[value.dtype], value.data);
    else if (node.op === 'VarHandleOp') handle = this.binding.executeOp(node.op, this.attributes(node.attributes), [], 1)[0]?.id;
    if (handle !== undefined) this.kept.set(node, handle);
    return handle;
  }

  private attributes(attributes: Attributes): EagerAttribute[] {
    return Object.entries(attributes).map(([name, attribute]) => ({ name, ...this.attribute(attribute) }));
  }

  private attribute(attribute: AttributeValue): Omit<EagerAttribute, 'name'> {
    const { binding } = this;
    switch (attribute.kind) {
      case 'string':
        return { type: binding.TF_ATTR_STRING, value: attribute.value };
      case 'int':
        return { type: binding.TF_ATTR_INT, value: attribute.value };
      case 'ints':
        return { type: binding.TF_ATTR_INT, value: [...attribute.value] };
      case 'float':
        return { type: binding.TF_ATTR_FLOAT, value: attribute.value };
      case 'bool':
        return { type: binding.TF_ATTR_BOOL, value: attribute.value };
      case 'type':
        return { type: binding.TF_ATTR_TYPE, value: DATA_TYPES[attribute.value] };
      case 'shape':
        return { type: binding.TF_ATTR_SHAPE, value: [...attribute.value] };
      case 'tensor':
        throw new SessionError('a tensor attribute occurs in constants only.');
    }
  }
}

/** Everything that the targets need, inputs and controls before what uses them. Iterative: a deep network is deeper than the stack. */
function executionOrder(targets: readonly Tensor[]): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  const stack = targets.map(({ node }) => ({ node, entered: false })).reverse();
  for (let top = stack.pop(); top; top = stack.pop()) {
    if (done.has(top.node)) continue;
    if (top.entered) {
      done.add(top.node);
      order.push(top.node);
      continue;
    }
    stack.push({ node: top.node, entered: true });
    const before = [...top.node.inputs.map(({ node }) => node), ...top.node.controls];
    for (const node of before.reverse()) if (!done.has(node)) stack.push({ node, entered: false });
  }
  return order;
}
