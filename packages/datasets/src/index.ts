export { ManifestCorruptError, classesOf, encodeManifest, parseManifest } from './manifest.js';
export { splitByPatient, type SplitFractions, type SplitOptions, type SplitSample } from './split-by-patient.js';
