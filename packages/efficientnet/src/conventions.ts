import type { LayerConventions } from '@roentgen/tensorflow';

/** From RGB bytes to what the network sees: (byte / scale − mean) / std per channel. */
export interface Normalization {
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The same as (byte − offset) · factor per channel: one subtraction and one multiplication a value. */
export function normalizationTerms({ scale, mean, std }: Normalization): { readonly offset: number[]; readonly factor: number[] } {
  return { offset: mean.map((value) => value * scale), factor: std.map((value) => 1 / (value * scale)) };
}

/**
 * The facts that a set of weights carries besides its tensors. Networks of one variant differ in them from publisher to publisher, and
 * under another publisher's conventions the same weights predict something else, without any error.
 */
export interface ModelConventions extends LayerConventions {
  readonly normalization: Normalization;
  /** How images were brought to the network's size: antialiased bicubic is what our own preprocessing does. */
  readonly interpolation: 'bicubic';
}

/** Of the authors' B0 to B7, and of Keras: mean and standard deviation are those of ImageNet's training images. */
export const REFERENCE_CONVENTIONS: ModelConventions = {
  padding: 'same',
  batchNormEpsilon: 1e-3,
  activation: 'silu',
  normalization: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  interpolation: 'bicubic',
};

/** Of the authors' Lite networks, which are made to be quantised. */
export const LITE_CONVENTIONS: ModelConventions = {
  ...REFERENCE_CONVENTIONS,
  activation: 'relu6',
  normalization: { scale: 1, mean: [127, 127, 127], std: [128, 128, 128] },
};
