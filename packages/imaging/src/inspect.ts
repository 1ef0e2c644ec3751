import { createHash } from 'node:crypto';
import type { Metadata } from 'sharp';
import { coerceError, type InspectedImage } from '@roentgen/domain';
import { openImage } from './libvips.js';
import { readSignature, scanPng } from './signature.js';

/** Why a file is no image for us; a user may match on these. */
export type InspectionErrorCode =
  'EMPTY_FILE' | 'NOT_AN_IMAGE' | 'UNSUPPORTED_FORMAT' | 'TRUNCATED' | 'CORRUPT' | 'TOO_LARGE' | 'TOO_SMALL';

export type Inspection =
  | { readonly ok: true; readonly image: InspectedImage }
  | { readonly ok: false; readonly error: { readonly code: InspectionErrorCode; readonly message: string } };

export const IMAGE_LIMITS = { minSidePx: 16, maxSidePx: 10_000, maxPixels: 64_000_000 } as const;

/**
 * Looks at a file as a stranger's: what it is by its content (its name does not count), whether every pixel of it decodes, and its facts. Never
 * throws on bad content.
 *
 * JPEG and PNG, grey or colour, with or without alpha, 8 or 16 bits, one picture. `widthPx` and `heightPx` are as shown, that is after the EXIF
 * orientation; `channels` are those of the file (grey 1, with alpha 2, colour 3, with alpha or CMYK 4). Size limits are applied to the header,
 * before anything is decoded; decoding then streams, so that memory does not grow with the image.
 */
export async function inspectImage(bytes: Uint8Array): Promise<Inspection> {
  const format = formatOf(bytes);
  if (typeof format !== 'string') return format;
  try {
    const metadata = await openImage(bytes, false).metadata();
    const { width: widthPx, height: heightPx } = metadata.autoOrient;
    const refusal = sizeRefusal(widthPx, heightPx) ?? pngRefusal(format, bytes) ?? pagesRefusal(metadata);
    if (refusal !== null) return refusal;
    await decodeEveryPixel(bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { ok: true, image: { sha256, bytes: bytes.length, format, widthPx, heightPx, channels: metadata.channels } };
  } catch (thrown) {
    return decodingRefusal(format, bytes, coerceError(thrown).message);
  }
}

const refuse = (code: InspectionErrorCode, message: string) => ({ ok: false, error: { code, message } }) as const;
type Refusal = ReturnType<typeof refuse>;

function formatOf(bytes: Uint8Array): 'jpeg' | 'png' | Refusal {
  if (bytes.length === 0)
    return refuse('EMPTY_FILE', 'The file has 0 bytes. Send it again; if it is empty where it comes from, leave it out.');
  const signature = readSignature(bytes);
  switch (signature.kind) {
    case 'jpeg':
    case 'png':
      return signature.kind;
    case 'cut':
      return truncated(signature.hint, bytes);
    case 'unsupported':
      return refuse('UNSUPPORTED_FORMAT', `The file is ${signature.hint}; only JPEG and PNG are read. Convert it to PNG or JPEG first.`);
    case 'other':
      return refuse(
        'NOT_AN_IMAGE',
        `The file is no image that is known here (${bytes.length} bytes, ${signature.hint}). Send a JPEG or PNG, or leave it out.`,
      );
  }
}

function sizeRefusal(widthPx: number, heightPx: number): Refusal | null {
  const { minSidePx, maxSidePx, maxPixels } = IMAGE_LIMITS;
  const size = `The image has ${widthPx} x ${heightPx} px`;
  if (Math.max(widthPx, heightPx) > maxSidePx)
    return refuse('TOO_LARGE', `${size}; a side may have ${maxSidePx} px at most. Scale it down.`);
  if (widthPx * heightPx > maxPixels)
    return refuse('TOO_LARGE', `${size}, ${widthPx * heightPx} in all; at most ${maxPixels} are read. Scale it down.`);
  if (Math.min(widthPx, heightPx) < minSidePx)
    return refuse('TOO_SMALL', `${size}; a side must have ${minSidePx} px at least. Use the original instead of a thumbnail.`);
  return null;
}

function pngRefusal(format: 'jpeg' | 'png', bytes: Uint8Array): Refusal | null {
  if (format !== 'png') return null;
  const { complete, animated } = scanPng(bytes);
  if (animated) return severalPictures('an animated PNG');
  return complete ? null : truncated('PNG', bytes);
}

function pagesRefusal({ pages = 1 }: Metadata): Refusal | null {
  return pages > 1 ? severalPictures(`a file with ${pages} pictures`) : null;
}

const severalPictures = (what: string) =>
  refuse('UNSUPPORTED_FORMAT', `The file is ${what}; each file must hold one picture. Save each picture as a file of its own.`);

const truncated = (format: string, bytes: Uint8Array) =>
  refuse(
    'TRUNCATED',
    `The ${format} ends too early: its ${bytes.length} bytes are only the beginning. Copy or send the file again from its source.`,
  );

/** Shrinks to almost nothing: every line has to be decoded for it, but only a few are held at a time. */
async function decodeEveryPixel(bytes: Uint8Array): Promise<void> {
  await openImage(bytes, IMAGE_LIMITS.maxPixels).resize(8, 8, { fit: 'fill', fastShrinkOnLoad: false }).raw().toBuffer();
}

function decodingRefusal(format: 'jpeg' | 'png', bytes: Uint8Array, reason: string): Refusal {
  const name = format.toUpperCase();
  if (format === 'jpeg' ? /premature end/i.test(reason) : !scanPng(bytes).complete) return truncated(name, bytes);
  const firstLine = reason.split('\n')[0] ?? '';
  return refuse('CORRUPT', `The file begins like a ${name} but does not decode (${firstLine}). Export it again from its source.`);
}
