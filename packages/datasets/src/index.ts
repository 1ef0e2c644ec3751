export { ManifestCorruptError, classesOf, encodeManifest, parseManifest } from './manifest.js';
export { splitByPatient } from './split-by-patient.js';
export type { SplitFractions, SplitOptions, SplitSample } from './split-input.js';
