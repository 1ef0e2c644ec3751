import { z } from 'zod';
import { numberWithin } from './recipe-optimization.js';

/**
 * How far the images of the train split are changed at random, anew in every epoch; 0 everywhere: not at all. Evaluation and prediction
 * see every image as it is.
 */
export interface AugmentationRecipe {
  /** Turned about the middle by an angle within ± this. */
  readonly rotationDegrees: number;
  /** Chance that left and right change places. */
  readonly horizontalFlip: number;
  /** Moved along each axis by up to ± this share of the side. */
  readonly shiftFraction: number;
  /** Magnified about the middle by a factor within 1 ± this. */
  readonly scaleFraction: number;
  /** All pixels get lighter or darker by up to ± this share of the range from black to white. */
  readonly brightness: number;
  /** Differences from medium grey are multiplied by a factor within 1 ± this. */
  readonly contrast: number;
}

/** Where a recipe starts from that names no ranges, or not all of them. */
export const AUGMENTATION_PRESETS = {
  none: { rotationDegrees: 0, horizontalFlip: 0, shiftFraction: 0, scaleFraction: 0, brightness: 0, contrast: 0 },
  /** What differs between two X-rays of one chest. Not mirrored: the heart is on the left, and marks in the image say which side is which. */
  light: { rotationDegrees: 7, horizontalFlip: 0, shiftFraction: 0.05, scaleFraction: 0.1, brightness: 0.1, contrast: 0.15 },
} as const satisfies Readonly<Record<string, AugmentationRecipe>>;
export type AugmentationPreset = keyof typeof AUGMENTATION_PRESETS;
export const AUGMENTATION_PRESET_NAMES = Object.keys(AUGMENTATION_PRESETS) as [AugmentationPreset, ...AugmentationPreset[]];

/** Largest values; the smallest is always 0. Beyond them little of an image is left. */
export const AUGMENTATION_LIMITS: AugmentationRecipe = {
  rotationDegrees: 180,
  horizontalFlip: 1,
  shiftFraction: 0.5,
  scaleFraction: 0.5,
  brightness: 0.5,
  contrast: 0.9,
};

const FIELD_NAMES = Object.keys(AUGMENTATION_LIMITS) as (keyof AugmentationRecipe)[];
const upTo = (name: keyof AugmentationRecipe) => numberWithin(0, AUGMENTATION_LIMITS[name]).optional();

/** Takes a preset and ranges that replace its own; gives all ranges. */
export const AugmentationSchema = z
  .strictObject(
    {
      preset: z
        .enum(AUGMENTATION_PRESET_NAMES, {
          error: ({ input }) => `unknown augmentation.preset "${String(input)}": use one of ${AUGMENTATION_PRESET_NAMES.join(', ')}`,
        })
        .optional(),
      rotationDegrees: upTo('rotationDegrees'),
      /** `true` is a chance of one half. */
      horizontalFlip: z.preprocess((value) => (typeof value === 'boolean' ? Number(value) / 2 : value), upTo('horizontalFlip')),
      shiftFraction: upTo('shiftFraction'),
      scaleFraction: upTo('scaleFraction'),
      brightness: upTo('brightness'),
      contrast: upTo('contrast'),
    },
    {
      error: ({ code, keys }) =>
        code === 'unrecognized_keys' ? `augmentation has no ${keys.join(', ')}: use preset, ${FIELD_NAMES.join(', ')}` : undefined,
    },
  )
  .transform(({ preset = 'none', ...given }): AugmentationRecipe => {
    const range = (name: keyof AugmentationRecipe) => given[name] ?? AUGMENTATION_PRESETS[preset][name];
    return {
      rotationDegrees: range('rotationDegrees'),
      horizontalFlip: range('horizontalFlip'),
      shiftFraction: range('shiftFraction'),
      scaleFraction: range('scaleFraction'),
      brightness: range('brightness'),
      contrast: range('contrast'),
    };
  });

/** Recipes that were stored when images could only be mirrored say so in a field `augment`. */
export function withAugmentationOf(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || !('augment' in input) || 'augmentation' in input) return input;
  const { augment, ...rest } = input;
  return { ...rest, augmentation: augment };
}
