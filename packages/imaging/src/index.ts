export { IMAGE_LIMITS, inspectImage, type Inspection, type InspectionErrorCode } from './inspect.js';
export { ImageDecodeError, PREPROCESSING, decodeForModel } from './preprocess.js';
