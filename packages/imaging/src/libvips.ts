import sharp, { type Sharp } from 'sharp';

// One image is seldom decoded twice, and cached operations would hold on to pixels.
sharp.cache(false);
// Images are decoded many at a time, on libuv's threads: threads within an image would only get into each other's way.
sharp.concurrency(1);

/** Strict: what a decoder has to guess is not evidence. */
const FAIL_ON = 'warning';

/** Opens encoded bytes. `limitPixels`: larger ones are refused before anything is decoded. */
export function openImage(bytes: Uint8Array, limitPixels: number | false): Sharp {
  return sharp(bytes, { failOn: FAIL_ON, limitInputPixels: limitPixels, sequentialRead: true });
}
