export { LibtensorflowMissingError, locateLibtensorflow } from './locate.js';
export type { LibtensorflowLocation } from './locate.js';
