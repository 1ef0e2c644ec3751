import { RoentgenError } from '@roentgen/domain';

/** The network cannot be written as an ONNX graph. */
export class OnnxExportError extends RoentgenError {
  readonly code = 'ONNX_EXPORT_FAILED';
}

/** onnxruntime is missing, or refused to load or to run a model. */
export class OnnxRuntimeError extends RoentgenError {
  readonly code = 'ONNXRUNTIME_FAILED';
}
