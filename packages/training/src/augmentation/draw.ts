import type { AugmentationRecipe } from '@roentgen/domain';
import { randomStreams } from '../random-streams.js';

/** How one image is changed. */
export interface AugmentationDraw {
  /** Counter-clockwise, about the middle. */
  readonly rotationDegrees: number;
  /** Left and right change places, before it is turned. */
  readonly flip: boolean;
  /** To the right and down, as shares of the side. */
  readonly shiftX: number;
  readonly shiftY: number;
  /** Above 1 magnifies. */
  readonly scale: number;
  /** Share of the range from black to white that is added. */
  readonly brightness: number;
  /** Factor on the distance from medium grey. */
  readonly contrast: number;
}

/**
 * Within the recipe's ranges, uniform in each; a pure function of (seed, epoch, sample), so that it matters neither which worker
 * computes the sample, nor when, nor with which others. Every number is drawn whether it is used or not: a range that is changed leaves
 * the draws of the others as they are.
 *
 * @param epoch from 1
 * @param sample index into the train split
 */
export function drawAugmentation(ranges: AugmentationRecipe, seed: number, epoch: number, sample: number): AugmentationDraw {
  const random = randomStreams.augmentation(seed, epoch, sample);
  const within = (range: number) => range * (2 * random.nextUniform() - 1);
  return {
    rotationDegrees: within(ranges.rotationDegrees),
    flip: random.nextUniform() < ranges.horizontalFlip,
    shiftX: within(ranges.shiftFraction),
    shiftY: within(ranges.shiftFraction),
    scale: 1 + within(ranges.scaleFraction),
    brightness: within(ranges.brightness),
    contrast: 1 + within(ranges.contrast),
  };
}
