import { GraphError } from '../errors.js';
import { encodeSavedModel } from '../proto/saved-model.js';
import type { Endpoint, NamedTensors } from './endpoint.js';
import { describe, expectDType, sizeOf } from './tensor.js';
import type { DType, HostArray, HostDType, Shape, Tensor, TensorSpec } from './tensor.js';

export type AttributeValue =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'type'; readonly value: DType }
  | { readonly kind: 'shape'; readonly value: Shape }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'tensor'; readonly dtype: HostDType; readonly shape: Shape; readonly data: HostArray };

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** One operation of the graph. */
export interface Node {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly Tensor[];
  /** Nodes that must have run before this one although nothing flows from them. */
  readonly controls: readonly Node[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

export interface NodeOptions {
  /** Base of the node's name; a number is appended where it is taken. */
  readonly name?: string;
  readonly controls?: readonly Node[];
}

/** A graph as bytes, with the places where it can be entered. */
export interface CompiledGraph {
  readonly savedModel: Uint8Array;
  readonly endpoints: readonly Endpoint[];
}

/** Constants up to this size are shared when they are equal. */
const SHARED_CONSTANT_ELEMENTS = 64;

/**
 * A TensorFlow graph with static shapes under construction. Nodes are appended and never change; `ops` has one typed function per
 * operation, this class only knows names, edges and constants.
 */
export class Graph {
  private readonly nodeList: Node[] = [];
  private readonly nodeNames = new Set<string>();
  private readonly nameCounts = new Map<string, number>();
  private readonly variableNames = new Set<string>();
  private readonly constants = new Map<string, Tensor>();
  private readonly endpointList: Endpoint[] = [];

  /** Appends a node. Called by `ops` only, which know an operation's attributes and the shapes of its outputs. */
  addNode(op: string, inputs: readonly Tensor[], attributes: Attributes, outputs: readonly TensorSpec[], options: NodeOptions = {}): Node {
    const tensors: Tensor[] = [];
    const node: Node = {
      name: this.uniqueName(options.name ?? op),
      op,
      inputs,
      controls: options.controls ?? [],
      attributes,
      outputs: tensors,
    };
    outputs.forEach(({ dtype, shape }, index) => tensors.push({ node, index, dtype, shape }));
    this.nodeList.push(node);
    return node;
  }

  /** What a caller feeds. The name is exactly the one given, so it must be free. */
  placeholder<D extends HostDType>(name: string, dtype: D, shape: Shape): Tensor<D> {
    if (this.nodeNames.has(name)) {
      throw new GraphError(`the graph already has a node "${name}": give the placeholder another name.`, { name });
    }
    const attributes: Attributes = { dtype: { kind: 'type', value: dtype }, shape: { kind: 'shape', value: shape } };
    return expectDType(only(this.addNode('Placeholder', [], attributes, [{ dtype, shape }], { name })), dtype);
  }

  /** A constant; small equal ones without a name of their own are one node. */
  constant(dtype: HostDType, shape: Shape, values: HostArray | readonly number[], options: NodeOptions = {}): Tensor {
    const data = typedArray(dtype, values);
    if (data.length !== sizeOf(shape)) {
      throw new GraphError(`a constant ${describe({ dtype, shape })} needs ${sizeOf(shape)} values, got ${data.length}.`, {
        shape,
        length: data.length,
      });
    }
    const key = data.length <= SHARED_CONSTANT_ELEMENTS && options.name === undefined ? `${dtype}|${shape.join()}|${data.join()}` : null;
    const known = key === null ? undefined : this.constants.get(key);
    if (known) return known;
    const attributes: Attributes = { dtype: { kind: 'type', value: dtype }, value: { kind: 'tensor', dtype, shape, data } };
    const tensor = only(this.addNode('Const', [], attributes, [{ dtype, shape }], options));
    if (key !== null) this.constants.set(key, tensor);
    return tensor;
  }

  scalar(value: number): Tensor {
    return this.constant('float32', [], [value]);
  }

  /** A vector of ints, as shapes, axes and offsets are given to operations. */
  ints(values: readonly number[]): Tensor {
    return this.constant('int32', [values.length], values);
  }

  /**
   * Reserves the identity of a variable in the session. Two variables of one name would silently be one: training then runs on
   * zeros without any error, so a clash is refused here.
   */
  reserveVariable(sharedName: string): void {
    if (this.variableNames.has(sharedName)) {
      throw new GraphError(`the graph already has a variable "${sharedName}": two variables of one name share their memory.`, {
        sharedName,
      });
    }
    this.variableNames.add(sharedName);
  }

  /** Declares a fixed pair of feeds and fetches. */
  endpoint<F extends NamedTensors, O extends NamedTensors>(name: string, feeds: F, fetches: O): Endpoint<F, O> {
    if (this.endpointList.some((endpoint) => endpoint.name === name)) {
      throw new GraphError(`the graph already has an endpoint "${name}".`, { name });
    }
    for (const [feed, tensor] of Object.entries(feeds)) {
      if (tensor.node.op !== 'Placeholder') {
        throw new GraphError(`feed "${feed}" of endpoint "${name}" is a ${tensor.node.op}, not a placeholder.`, { name, feed });
      }
    }
    const endpoint: Endpoint<F, O> = { name, feeds, fetches };
    this.endpointList.push(endpoint);
    return endpoint;
  }

  /** @param servedEndpoint what programs that load the file find under the name `serving_default`; our own sessions need none */
  compile(servedEndpoint: Endpoint | null = null): CompiledGraph {
    return { savedModel: encodeSavedModel(this.nodeList, servedEndpoint), endpoints: this.endpointList };
  }

  private uniqueName(base: string): string {
    let count = this.nameCounts.get(base) ?? 0;
    let name = count === 0 ? base : `${base}_${count}`;
    while (this.nodeNames.has(name)) name = `${base}_${++count}`;
    this.nameCounts.set(base, count + 1);
    this.nodeNames.add(name);
    return name;
  }
}

/** The single output of a node. */
export function only(node: Node): Tensor {
  const [output, ...others] = node.outputs;
  if (!output || others.length > 0) {
    throw new GraphError(`${node.op} "${node.name}" has ${node.outputs.length} outputs, expected one.`, { node: node.name });
  }
  return output;
}

function typedArray(dtype: HostDType, values: HostArray | readonly number[]): HostArray {
  switch (dtype) {
    case 'float32':
      return values instanceof Float32Array ? values : Float32Array.from(values);
    case 'int32':
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case 'uint8':
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
  }
}
