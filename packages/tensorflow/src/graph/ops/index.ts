/** One typed function per TensorFlow operation: the only place that knows their names, attributes and shape rules. */
export * from './classification.js';
export * from './elementwise.js';
export * from './images.js';
export * from './linear.js';
export * from './normalization.js';
export * from './random.js';
export * from './reductions.js';
export * from './shapes.js';
export * from './state.js';
