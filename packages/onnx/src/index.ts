export * from './errors.js';
export * from './export/export-onnx.js';
export * from './runtime/onnx-session.js';
