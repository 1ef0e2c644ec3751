import type { AugmentationRecipe, TrainingRecipe } from '@roentgen/domain';
import { drawAugmentation } from './draw.js';
import type { AugmentationDraw } from './draw.js';

/** A micro-batch's feeds beyond its images: of each image eight numbers for its place, and factor and offset for its brightness. */
export type AugmentationFeeds = Readonly<
  Partial<Record<AugmentationFeed, { readonly data: Float32Array; readonly shape: readonly number[] }>>
>;
export type AugmentationFeed = 'transforms' | 'gains' | 'offsets';

/** Whether pixels move. */
export function movesPixels({ rotationDegrees, horizontalFlip, shiftFraction, scaleFraction }: AugmentationRecipe): boolean {
  return rotationDegrees > 0 || horizontalFlip > 0 || shiftFraction > 0 || scaleFraction > 0;
}

/** Whether pixels change their value. */
export function changesIntensity({ brightness, contrast }: AugmentationRecipe): boolean {
  return brightness > 0 || contrast > 0;
}

/**
 * What the graph needs for these samples: exactly the feeds that `addAugmentation` made for the recipe. Computed here, not in the graph:
 * so every worker feeds the same bits, whatever it computes on.
 */
export function augmentationFeeds(
  { augmentation, seed, imageSizePx }: Pick<TrainingRecipe, 'augmentation' | 'seed' | 'imageSizePx'>,
  epoch: number,
  samples: readonly number[],
): AugmentationFeeds {
  const [moves, changes] = [movesPixels(augmentation), changesIntensity(augmentation)];
  if (!moves && !changes) return {};
  const draws = samples.map((sample) => drawAugmentation(augmentation, seed, epoch, sample));
  const intensities = draws.map(intensity);
  const perImage = (values: number[]) => ({ data: Float32Array.from(values), shape: [draws.length, 1, 1, 1] });
  return {
    ...(moves && {
      transforms: { data: Float32Array.from(draws.flatMap((draw) => inverseTransform(draw, imageSizePx))), shape: [draws.length, 8] },
    }),
    ...(changes && {
      gains: perImage(intensities.map(({ gain }) => gain)),
      offsets: perImage(intensities.map(({ offset }) => offset)),
    }),
  };
}

/**
 * Where each pixel of the changed image comes from, as `ops.projectiveTransform` takes it. With c = (s − 1) / 2, the middle, an image is
 * mirrored (F), turned (R), magnified (z) and moved (t): out − c = z·R·F·(in − c) + t, hence in = c + F·R⁻¹·(out − c − t) / z.
 */
export function inverseTransform({ rotationDegrees, flip, shiftX, shiftY, scale }: AugmentationDraw, sizePx: number): number[] {
  const angle = (rotationDegrees * Math.PI) / 180;
  const [cosine, sine] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
  const middle = (sizePx - 1) / 2;
  const [centreX, centreY] = [middle + shiftX * sizePx, middle + shiftY * sizePx];
  const side = flip ? -1 : 1;
  // Rows count downwards: the signs of the sines are those of a turn against the clock as one sees it.
  const row = (x: number, y: number): number[] => [x, y, middle - x * centreX - y * centreY];
  return [...row(side * cosine, -side * sine), ...row(sine, cosine), 0, 0];
}

/** Grey value between black and white, which contrast leaves as it is. */
const MEDIUM_GREY = 127.5;
const WHITE = 255;

/** value · gain + offset. A fixed grey instead of the image's own mean: no sum whose rounding depends on the device. */
export function intensity({ brightness, contrast }: Pick<AugmentationDraw, 'brightness' | 'contrast'>): { gain: number; offset: number } {
  return { gain: contrast, offset: MEDIUM_GREY * (1 - contrast) + brightness * WHITE };
}
