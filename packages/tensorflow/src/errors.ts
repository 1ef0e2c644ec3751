import { RoentgenError } from '@roentgen/domain';

/** Tensors do not fit the operation; raised while the graph is built, never while it runs. */
export class ShapeError extends RoentgenError {
  readonly code = 'SHAPE_MISMATCH';
}

/** The graph itself is wrong: a name that clashes, a tensor of another graph, a parameter without a gradient. */
export class GraphError extends RoentgenError {
  readonly code = 'INVALID_GRAPH';
}

/** What was about to be fed does not fit the endpoint. Raised before the call: inside TensorFlow a wrong rank aborts the process. */
export class FeedError extends RoentgenError {
  readonly code = 'INVALID_FEED';
}

/** TensorFlow refused to load or to run a graph. The session stays usable. */
export class SessionError extends RoentgenError {
  readonly code = 'SESSION_FAILED';
}

/** The native addon is missing, cannot be loaded, or is built against another TensorFlow. */
export class BindingError extends RoentgenError {
  readonly code = 'TENSORFLOW_UNAVAILABLE';
}

/** The bytes are no safetensors file with float32 tensors, or a damaged one. */
export class SafetensorsError extends RoentgenError {
  readonly code = 'INVALID_SAFETENSORS';
}
