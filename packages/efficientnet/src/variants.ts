export interface VariantScaling {
  /** Multiplies the number of channels. */
  readonly width: number;
  /** Multiplies the number of blocks per stage. */
  readonly depth: number;
  /** Side length of the images that the variant was designed for. */
  readonly resolutionPx: number;
  /** Dropout before the classifier. */
  readonly dropoutRate: number;
}

/** Compound scaling of the family (Tan & Le 2019, §3.3; the numbers are those of the authors' TPU implementation). */
export const EFFICIENTNET_VARIANTS = {
  B0: { width: 1.0, depth: 1.0, resolutionPx: 224, dropoutRate: 0.2 },
  B1: { width: 1.0, depth: 1.1, resolutionPx: 240, dropoutRate: 0.2 },
  B2: { width: 1.1, depth: 1.2, resolutionPx: 260, dropoutRate: 0.3 },
  B3: { width: 1.2, depth: 1.4, resolutionPx: 300, dropoutRate: 0.3 },
  B4: { width: 1.4, depth: 1.8, resolutionPx: 380, dropoutRate: 0.4 },
  B5: { width: 1.6, depth: 2.2, resolutionPx: 456, dropoutRate: 0.4 },
  B6: { width: 1.8, depth: 2.6, resolutionPx: 528, dropoutRate: 0.5 },
  B7: { width: 2.0, depth: 3.1, resolutionPx: 600, dropoutRate: 0.5 },
} as const satisfies Readonly<Record<string, VariantScaling>>;

export type EfficientNetVariant = keyof typeof EFFICIENTNET_VARIANTS;
