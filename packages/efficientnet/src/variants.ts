import { EFFICIENTNET_DESIGN as DESIGN, type EfficientNetVariant } from '@roentgen/domain';
import { LITE_CONVENTIONS, REFERENCE_CONVENTIONS } from './conventions.js';
import type { ModelConventions } from './conventions.js';

/** Everything in which the networks of the family differ. */
export interface VariantFacts {
  /** Multiplies the number of channels. */
  readonly width: number;
  /** Multiplies the number of blocks per stage. */
  readonly depth: number;
  /** Side length of the images that the variant was designed for. */
  readonly resolutionPx: number;
  /** Dropout before the classifier. */
  readonly dropoutRate: number;
  /** Each block weighs its channels (Hu et al. 2018). */
  readonly hasSqueezeExcite: boolean;
  /** Width also scales stem and head, depth also the first and the last stage; otherwise these are as in B0. */
  readonly scalesEnds: boolean;
  /** Those of the authors' own weights, and of training from scratch. */
  readonly conventions: ModelConventions;
}

const PAPER = { hasSqueezeExcite: true, scalesEnds: true, conventions: REFERENCE_CONVENTIONS } as const;
/** For devices without fast sigmoids: no squeeze-and-excitation, ReLU6, ends left as they are. */
const LITE = { hasSqueezeExcite: false, scalesEnds: false, conventions: LITE_CONVENTIONS } as const;

/**
 * Compound scaling of the family (Tan & Le 2019, §3.3; the numbers are those of the authors' TPU implementation, where the Lite
 * networks come from too: tensorflow/tpu, models/official/efficientnet).
 */
export const EFFICIENTNET_VARIANTS: Readonly<Record<EfficientNetVariant, VariantFacts>> = {
  B0: { ...PAPER, ...DESIGN.B0, width: 1.0, depth: 1.0 },
  B1: { ...PAPER, ...DESIGN.B1, width: 1.0, depth: 1.1 },
  B2: { ...PAPER, ...DESIGN.B2, width: 1.1, depth: 1.2 },
  B3: { ...PAPER, ...DESIGN.B3, width: 1.2, depth: 1.4 },
  B4: { ...PAPER, ...DESIGN.B4, width: 1.4, depth: 1.8 },
  B5: { ...PAPER, ...DESIGN.B5, width: 1.6, depth: 2.2 },
  B6: { ...PAPER, ...DESIGN.B6, width: 1.8, depth: 2.6 },
  B7: { ...PAPER, ...DESIGN.B7, width: 2.0, depth: 3.1 },
  Lite0: { ...LITE, ...DESIGN.Lite0, width: 1.0, depth: 1.0 },
};
