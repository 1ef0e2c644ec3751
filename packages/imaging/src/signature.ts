/** What a file is by its first bytes. `hint` names the format in messages. */
export type Signature = { readonly kind: 'jpeg' | 'png' } | { readonly kind: 'cut' | 'unsupported' | 'other'; readonly hint: string };

const JPEG = [0xff, 0xd8, 0xff];
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Formats that people have images in but that are not read here; the text is at this byte. */
const KNOWN: ReadonlyArray<{ readonly hint: string; readonly at: number; readonly text: string }> = [
  { hint: 'DICOM', at: 128, text: 'DICM' },
  { hint: 'GIF', at: 0, text: 'GIF8' },
  { hint: 'WebP', at: 8, text: 'WEBP' },
  { hint: 'TIFF', at: 0, text: 'II*\0' },
  { hint: 'TIFF', at: 0, text: 'MM\0*' },
  { hint: 'HEIF or AVIF', at: 4, text: 'ftyp' },
  { hint: 'JPEG 2000', at: 4, text: 'jP  ' },
  { hint: 'NIfTI', at: 344, text: 'n+1\0' },
  { hint: 'PDF', at: 0, text: '%PDF' },
  { hint: 'SVG', at: 0, text: '<svg' },
  { hint: 'ZIP archive', at: 0, text: 'PK\x03\x04' },
  { hint: 'gzip archive', at: 0, text: '\x1f\x8b' },
];

/** Reads the signature; `bytes` has at least one byte. */
export function readSignature(bytes: Uint8Array): Signature {
  if (startsWith(bytes, JPEG)) return { kind: 'jpeg' };
  if (startsWith(bytes, PNG)) return { kind: 'png' };
  if (isStartOf(bytes, JPEG)) return { kind: 'cut', hint: 'JPEG' };
  if (isStartOf(bytes, PNG)) return { kind: 'cut', hint: 'PNG' };
  const known = KNOWN.find(({ at, text }) => textAt(bytes, at, text.length) === text);
  if (known !== undefined) return { kind: 'unsupported', hint: known.hint };
  if (isBmp(bytes)) return { kind: 'unsupported', hint: 'BMP' };
  return { kind: 'other', hint: describeStart(bytes) };
}

const startsWith = (bytes: Uint8Array, signature: readonly number[]) => signature.every((byte, i) => bytes[i] === byte);
const isStartOf = (bytes: Uint8Array, signature: readonly number[]) =>
  bytes.length < signature.length && bytes.every((byte, i) => signature[i] === byte);
const textAt = (bytes: Uint8Array, at: number, length: number) => Buffer.from(bytes.subarray(at, at + length)).toString('latin1');

/** Two letters are too common to be a proof; the four bytes after the size are reserved and 0. */
const isBmp = (bytes: Uint8Array) => textAt(bytes, 0, 2) === 'BM' && textAt(bytes, 6, 4) === '\0\0\0\0';

const describeStart = (bytes: Uint8Array) => `begins with ${Buffer.from(bytes.subarray(0, 8)).toString('hex')}`;

/** What the chunks of a PNG tell without decoding it. libpng accepts a file without its end as soon as it has every pixel. */
export function scanPng(bytes: Uint8Array): { readonly complete: boolean; readonly animated: boolean } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let animated = false;
  // Each chunk: length of its data, type, data, CRC (PNG specification, third edition, §5.3).
  for (let at = PNG.length; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const type = textAt(bytes, at + 4, 4);
    if (type === 'acTL') animated = true;
    if (type === 'IEND') return { complete: true, animated };
  }
  return { complete: false, animated };
}
