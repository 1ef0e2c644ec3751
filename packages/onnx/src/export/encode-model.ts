import { ProtoWriter } from '@roentgen/tensorflow';

/** Element types with ONNX's enumeration (TensorProto.DataType). */
export const ELEMENT_TYPES = { float32: 1, uint8: 2, int64: 7 } as const;
export type ElementType = keyof typeof ELEMENT_TYPES;

/** AttributeProto.AttributeType. */
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  /** Every operation that is used here has one. */
  readonly output: string;
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}

/** A constant. */
export interface OnnxInitializer {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What goes in or comes out; a text in the shape is a size that the caller chooses. */
export interface OnnxPort {
  readonly name: string;
  readonly elementType: ElementType;
  readonly shape: readonly (number | string)[];
}

export interface OnnxModel {
  readonly graphName: string;
  readonly producer: { readonly name: string; readonly version: string };
  /** Of the file format and of the operations: together they say which runtimes can read it. */
  readonly irVersion: number;
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** An .onnx file: a ModelProto. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
export function encodeModel(model: OnnxModel): Uint8Array {
  const graph = new ProtoWriter();
  for (const node of model.nodes) graph.message(1, encodeNode(node));
  graph.string(2, model.graphName);
  for (const initializer of model.initializers) graph.message(5, encodeInitializer(initializer));
  for (const input of model.inputs) graph.message(11, encodePort(input));
  for (const output of model.outputs) graph.message(12, encodePort(output));
  const writer = new ProtoWriter()
    .int(1, model.irVersion)
    .string(2, model.producer.name)
    .string(3, model.producer.version)
    .message(7, graph)
    .message(8, new ProtoWriter().string(1, '').int(2, model.opset));
  for (const [key, value] of Object.entries(model.metadata)) writer.message(14, new ProtoWriter().string(1, key).string(2, value));
  return writer.finish();
}

function encodeNode({ name, op, inputs, output, attributes }: OnnxNode): ProtoWriter {
  const writer = new ProtoWriter();
  for (const input of inputs) writer.string(1, input);
  writer.string(2, output).string(3, name).string(4, op);
  for (const [attribute, value] of Object.entries(attributes)) {
    const encoded = new ProtoWriter().string(1, attribute);
    if (typeof value === 'number') encoded.int(3, value).int(20, ATTRIBUTE_INT);
    else {
      for (const each of value) encoded.int(8, each);
      encoded.int(20, ATTRIBUTE_INTS);
    }
    writer.message(5, encoded);
  }
  return writer;
}

function encodeInitializer({ name, shape, data }: OnnxInitializer): ProtoWriter {
  const writer = new ProtoWriter();
  for (const size of shape) writer.int(1, size);
  return writer
    .int(2, ELEMENT_TYPES.float32)
    .string(8, name)
    .bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function encodePort({ name, elementType, shape }: OnnxPort): ProtoWriter {
  const dimensions = new ProtoWriter();
  for (const size of shape) {
    dimensions.message(1, typeof size === 'number' ? new ProtoWriter().int(1, size) : new ProtoWriter().string(2, size));
  }
  const tensorType = new ProtoWriter().int(1, ELEMENT_TYPES[elementType]).message(2, dimensions);
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, tensorType));
}
