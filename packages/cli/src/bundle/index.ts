export { BINDING_PATH, bundleContents, libtensorflowFolder } from './contents.js';
export type { LockedPackages } from './closure.js';
export { COMPRESSIONS, type Compression } from './compression.js';
export { FrameStore } from './frame-store.js';
export { prepareLibtensorflow } from './libtensorflow.js';
export { runtimeFiles } from './runtime-files.js';
export { writeBundle, type BundleReport } from './write-bundle.js';
