import type { Endpoint, NamedTensors } from '../graph/endpoint.js';
import type { AttributeValue, Node } from '../graph/graph.js';
import { DATA_TYPES } from '../graph/tensor.js';
import type { HostArray, HostDType, Shape } from '../graph/tensor.js';
import { ProtoWriter } from './writer.js';

/** GraphDef version that our op attributes follow; TensorFlow refuses graphs whose producer is too old for it. */
const GRAPH_PRODUCER = 2000;
const SAVED_MODEL_SCHEMA = 1;

/** The tag under which the one graph of a saved model is found again. */
export const SERVE_TAG = 'serve';
/** Name and method by which TensorFlow's own loaders find what to call (tensorflow/python/saved_model/signature_constants.py). */
const SERVING_SIGNATURE = 'serving_default';
const PREDICT_METHOD = 'tensorflow/serving/predict';

/**
 * A `saved_model.pb` with the one graph. Field numbers: tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
 * tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto. No variables folder: the session assigns its variables
 * itself, and names the nodes that it feeds and fetches; whoever else is to call the graph needs a signature.
 */
export function encodeSavedModel(nodes: readonly Node[], servedEndpoint: Endpoint | null = null): Uint8Array {
  const graph = new ProtoWriter();
  for (const node of nodes) graph.message(1, encodeNode(node));
  graph.message(4, new ProtoWriter().int(1, GRAPH_PRODUCER));
  const metaGraph = new ProtoWriter().message(1, new ProtoWriter().string(4, SERVE_TAG)).message(2, graph);
  if (servedEndpoint) metaGraph.message(5, new ProtoWriter().string(1, SERVING_SIGNATURE).message(2, encodeSignature(servedEndpoint)));
  return new ProtoWriter().int(1, SAVED_MODEL_SCHEMA).message(2, metaGraph).finish();
}

function encodeSignature({ feeds, fetches }: Endpoint): ProtoWriter {
  const writer = new ProtoWriter();
  const ports = (field: number, tensors: NamedTensors) => {
    for (const [name, { node, index, dtype, shape }] of Object.entries(tensors)) {
      const info = new ProtoWriter().string(1, `${node.name}:${index}`).int(2, DATA_TYPES[dtype]).message(3, encodeShape(shape));
      writer.message(field, new ProtoWriter().string(1, name).message(2, info));
    }
  };
  ports(1, feeds);
  ports(2, fetches);
  return writer.string(3, PREDICT_METHOD);
}

function encodeNode(node: Node): ProtoWriter {
  const writer = new ProtoWriter().string(1, node.name).string(2, node.op);
  for (const input of node.inputs) writer.string(3, input.index === 0 ? input.node.name : `${input.node.name}:${input.index}`);
  for (const control of node.controls) writer.string(3, `^${control.name}`);
  // Sorted, so that equal graphs have equal bytes.
  for (const name of Object.keys(node.attributes).sort()) {
    const value = node.attributes[name];
    if (value) writer.message(5, new ProtoWriter().string(1, name).message(2, encodeAttribute(value)));
  }
  return writer;
}

function encodeAttribute(value: AttributeValue): ProtoWriter {
  const writer = new ProtoWriter();
  switch (value.kind) {
    case 'string':
      return writer.string(2, value.value);
    case 'int':
      return writer.int(3, value.value);
    case 'float':
      return writer.float(4, value.value);
    case 'bool':
      return writer.bool(5, value.value);
    case 'type':
      return writer.int(6, DATA_TYPES[value.value]);
    case 'shape':
      return writer.message(7, encodeShape(value.value));
    case 'tensor':
      return writer.message(8, encodeTensor(value.dtype, value.shape, value.data));
    case 'ints': {
      const list = new ProtoWriter();
      for (const int of value.value) list.int(3, int);
      return writer.message(1, list);
    }
  }
}

function encodeShape(shape: Shape): ProtoWriter {
  const writer = new ProtoWriter();
  for (const dimension of shape) writer.message(2, new ProtoWriter().int(1, dimension));
  return writer;
}

function encodeTensor(dtype: HostDType, shape: Shape, data: HostArray): ProtoWriter {
  return new ProtoWriter()
    .int(1, DATA_TYPES[dtype])
    .message(2, encodeShape(shape))
    .bytes(4, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
