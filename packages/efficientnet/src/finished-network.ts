import type { ModelVectors } from './initialize.js';
import type { EfficientNetSpec } from './spec.js';

/** A network with its weights, to be predicted with: what exports are made of. */
export interface FinishedNetwork extends ModelVectors {
  readonly spec: EfficientNetSpec;
  /** Side of the images that it looks at. */
  readonly imageSizePx: number;
}

/** Facts that travel with an export as text, such as the names of the classes; they do not change what it computes. */
export type ExportMetadata = Readonly<Record<string, string>>;
