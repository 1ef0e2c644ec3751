import { InvalidInputError, RoentgenError, coerceError } from '@roentgen/domain';
import { enlargeBicubic } from './enlarge.js';
import { IMAGE_LIMITS } from './inspect.js';
import { openImage } from './libvips.js';

/**
 * The one way from a file to a model's input, for training, evaluation and prediction alike: a model must be fed the way it was trained. Any change of
 * the resulting pixels, also by another version of libvips, is a new `version`, and checkpoints then have to say theirs (those of versions 1 and 2 do not).
 * Version 1 enlarged images with a shift of half a pixel of the result; those that are larger than the model's input are the same in both.
 */
export const PREPROCESSING = {
  version: 2,
  orientation: 'EXIF orientation applied',
  alpha: 'flattened on black',
  // Of 16 bits the upper 8 stay: a 12-bit image stored in 16 must be stretched before it is uploaded.
  color: 'embedded ICC profile applied, then sRGB, 8 bits, 3 channels (grey is repeated)',
  // Antialiased: when shrinking, the kernel is widened by the factor.
  resize: 'bicubic (Catmull-Rom) between pixel centres; antialiased, fixed-point when shrinking',
  fit: 'stretched to a square; the aspect ratio is not kept',
} as const;

const MAX_MODEL_SIZE_PX = 1024;

/** The bytes do not decode, although whoever stored them had inspected them. */
export class ImageDecodeError extends RoentgenError {
  readonly code = 'IMAGE_DECODE';
}

/**
 * The pixels as a model takes them: `[sizePx, sizePx, 3]` uint8 RGB, row-major. The same bytes give the same pixels, on any machine.
 * @throws ImageDecodeError, InvalidInputError
 */
export async function decodeForModel(bytes: Uint8Array, sizePx: number): Promise<Uint8Array> {
  if (!Number.isInteger(sizePx) || sizePx < IMAGE_LIMITS.minSidePx || sizePx > MAX_MODEL_SIZE_PX) {
    throw new InvalidInputError(
      `A model cannot take images of ${sizePx} px: expected a whole number from ${IMAGE_LIMITS.minSidePx} to ${MAX_MODEL_SIZE_PX}.`,
      [{ field: 'sizePx', message: `expected ${IMAGE_LIMITS.minSidePx} to ${MAX_MODEL_SIZE_PX}` }],
    );
  }
  try {
    // With a colour space for the pipeline libvips decodes JPEG in full. Else it lets the decoder shrink, which only JPEG can (`fastShrinkOnLoad`
    // does not turn that off, only limits it): the file format would leave a trace in the pixels, and formats go with hospitals.
    const { data, info } = await openImage(bytes, IMAGE_LIMITS.maxPixels)
      .pipelineColourspace('srgb')
      .autoOrient()
      .flatten({ background: '#000000' })
      // A side that is too short keeps its length: libvips enlarges with a shift (see enlargeBicubic).
      .resize(sizePx, sizePx, { fit: 'fill', kernel: 'cubic', withoutEnlargement: true })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return info.width === sizePx && info.height === sizePx ? data : enlargeBicubic(data, info.width, info.height, sizePx);
  } catch (thrown) {
    const cause = coerceError(thrown);
    throw new ImageDecodeError(
      `${bytes.length} bytes do not decode as an image: ${cause.message}. Inspect the file again; if it was whole once, the store has lost part of it.`,
      { bytes: bytes.length },
      { cause },
    );
  }
}
