import { createHash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { InspectedImageSchema, InvalidInputError } from '@roentgen/domain';
import { ImageDecodeError, PREPROCESSING, decodeForModel, inspectImage } from './index.js';

const WIDTH = 64;
const HEIGHT = 48;

/** Numbers that look like noise and are the same everywhere. */
function noise(length: number): Buffer {
  let state = 1;
  return Buffer.from(Uint8Array.from({ length }, () => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16) & 0xff));
}

const pixels = (channels: 1 | 2 | 3 | 4, content = noise(WIDTH * HEIGHT * channels), width = WIDTH, height = HEIGHT) =>
  sharp(content, { raw: { width, height, channels } });
const grey = (value: number) => pixels(1, Buffer.alloc(WIDTH * HEIGHT, value)).toColourspace('b-w');
const blank = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#102030' }, limitInputPixels: false });
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** 16-bit grey in which every pixel has this value. */
const grey16 = (value: number) =>
  sharp(new Uint16Array(WIDTH * HEIGHT).fill(value), { raw: { width: WIDTH, height: HEIGHT, channels: 1 } }).toColourspace('grey16');

async function problem(bytes: Uint8Array): Promise<string> {
  const inspection = await inspectImage(bytes);
  return inspection.ok ? 'accepted' : `${inspection.error.code}: ${inspection.error.message}`;
}

async function facts(bytes: Uint8Array) {
  const inspection = await inspectImage(bytes);
  if (!inspection.ok) throw new Error(inspection.error.message);
  return inspection.image;
}

/** A PNG whose header claims a size that its data does not have: what a file that shall fill our memory looks like. */
async function claiming(width: number, height: number): Promise<Buffer> {
  const png = await blank(16, 16).png().toBuffer();
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  return withChecksum(png, 12, 17);
}

function withChecksum(png: Buffer, at: number, length: number): Buffer {
  let crc = 0xffffffff;
  for (const byte of png.subarray(at, at + length)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  png.writeUInt32BE(~crc >>> 0, at + length);
  return png;
}

describe('an image that is accepted', () => {
  test.each<[string, () => Sharp, object]>([
    ['colour JPEG', () => pixels(3).jpeg(), { format: 'jpeg', channels: 3 }],
    ['progressive JPEG', () => pixels(3).jpeg({ progressive: true }), { format: 'jpeg', channels: 3 }],
    ['grey JPEG', () => grey(7).jpeg(), { format: 'jpeg', channels: 1 }],
    ['CMYK JPEG', () => pixels(3).toColourspace('cmyk').jpeg(), { format: 'jpeg', channels: 4 }],
    ['grey PNG', () => grey(7).png(), { format: 'png', channels: 1 }],
    ['16-bit grey PNG', () => grey16(7).png(), { format: 'png', channels: 1 }],
    ['PNG with alpha', () => pixels(4).png(), { format: 'png', channels: 4 }],
    ['palette PNG', () => pixels(3).png({ palette: true }), { format: 'png', channels: 3 }],
    ['interlaced PNG', () => pixels(3).png({ progressive: true }), { format: 'png', channels: 3 }],
  ])('%s', async (_, make, expected) => {
    const bytes = await make().toBuffer();
    const image = await facts(bytes);
    expect(image).toEqual({ ...expected, sha256: sha256(bytes), bytes: bytes.length, widthPx: WIDTH, heightPx: HEIGHT });
    expect(InspectedImageSchema.parse(image)).toEqual(image);
  });

  test('has the size that a viewer shows', async () => {
    const lying = await pixels(3).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await facts(lying)).toMatchObject({ widthPx: HEIGHT, heightPx: WIDTH });
  });

  test('may be as small and as large as the limits say', async () => {
    expect(await facts(await blank(16, 16).png().toBuffer())).toMatchObject({ widthPx: 16 });
    expect(await facts(await blank(10_000, 20).png().toBuffer())).toMatchObject({ widthPx: 10_000 });
  });
});

describe('a file that is refused', () => {
  const text = (content: string, at = 0) => Buffer.concat([Buffer.alloc(at), Buffer.from(content, 'latin1'), Buffer.alloc(64)]);

  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'EMPTY_FILE: The file has 0 bytes.'],
    [
      'text',
      Buffer.from('file,label\n1.png,normal\n'),
      'NOT_AN_IMAGE: The file is no image that is known here (24 bytes, begins with 66696c652c6c6162).',
    ],
    ['one byte', Buffer.from('x'), 'NOT_AN_IMAGE'],
    ['text that begins like a BMP', Buffer.from('BMW is no image, however long the text'), 'NOT_AN_IMAGE'],
    ['GIF', text('GIF89a'), 'UNSUPPORTED_FORMAT: The file is GIF; only JPEG and PNG are read. Convert it to PNG or JPEG first.'],
    ['WebP', text('RIFF\0\0\0\0WEBP'), 'UNSUPPORTED_FORMAT: The file is WebP'],
    ['TIFF', text('II*\0'), 'UNSUPPORTED_FORMAT: The file is TIFF'],
    ['DICOM', text('DICM', 128), 'UNSUPPORTED_FORMAT: The file is DICOM'],
    ['NIfTI', text('n+1\0', 344), 'UNSUPPORTED_FORMAT: The file is NIfTI'],
    ['PDF', text('%PDF-1.7'), 'UNSUPPORTED_FORMAT: The file is PDF'],
    ['SVG', text('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'UNSUPPORTED_FORMAT: The file is SVG'],
    ['BMP', text('BM\x46\0\0\0\0\0\0\0'), 'UNSUPPORTED_FORMAT: The file is BMP'],
    ['the first two bytes of a JPEG', Buffer.from([0xff, 0xd8]), 'TRUNCATED: The JPEG ends too early: its 2 bytes'],
    ['a JPEG signature before noise', Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), noise(500)]), 'CORRUPT'],
    ['a PNG signature before noise', Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), noise(500)]), 'TRUNCATED'],
  ])('%s', async (_, bytes, expected) => {
    expect(await problem(bytes)).toContain(expected);
  });

  test.each<[string, () => Sharp]>([
    ['JPEG', () => pixels(3).jpeg()],
    ['progressive JPEG', () => pixels(3).jpeg({ progressive: true })],
    ['PNG', () => pixels(3).png()],
    ['interlaced PNG', () => pixels(3).png({ progressive: true })],
  ])('a %s that is cut off anywhere', async (_, make) => {
    const bytes = await make().toBuffer();
    const cuts = [2, 20, 33, 100, 0.25, 0.5, 0.9].map((cut) => Math.floor(cut < 1 ? bytes.length * cut : cut));
    for (const length of [...cuts, bytes.length - 100, bytes.length - 12, bytes.length - 2, bytes.length - 1]) {
      expect(await problem(bytes.subarray(0, length)), `${length} of ${bytes.length} bytes`).toMatch(
        /^TRUNCATED: .* ends too early: its \d+ bytes/,
      );
    }
  });

  test('a PNG with a changed byte', async () => {
    const bytes = await pixels(3).png().toBuffer();
    const at = Math.floor(bytes.length / 2);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
    expect(await problem(bytes)).toMatch(/^CORRUPT: The file begins like a PNG but does not decode/);
  });

  test('an animated PNG', async () => {
    const png = await blank(16, 16).png().toBuffer();
    const control = withChecksum(
      Buffer.concat([Buffer.from([0, 0, 0, 8]), Buffer.from('acTL'), Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]), Buffer.alloc(4)]),
      4,
      12,
    );
    const animated = Buffer.concat([png.subarray(0, 33), control, png.subarray(33)]);
    expect(await problem(animated)).toMatch(/^UNSUPPORTED_FORMAT: The file is an animated PNG; each file must hold one picture/);
  });

  test('an image below the least size', async () => {
    expect(await problem(await blank(15, 400).png().toBuffer())).toBe(
      'TOO_SMALL: The image has 15 x 400 px; a side must have 16 px at least. Use the original instead of a thumbnail.',
    );
  });

  test('an image above the largest size, without decoding it', async () => {
    expect(await problem(await blank(10_001, 16).png().toBuffer())).toMatch(
      /^TOO_LARGE: The image has 10001 x 16 px; a side may have 10000 px/,
    );
    const before = process.memoryUsage().rss;
    expect(await problem(await claiming(20_000, 20_000))).toMatch(/^TOO_LARGE: The image has 20000 x 20000 px/);
    expect(await problem(await claiming(9_000, 9_000))).toMatch(
      /^TOO_LARGE: The image has 9000 x 9000 px, 81000000 in all; at most 64000000/,
    );
    expect(await problem(await claiming(2 ** 31 - 1, 2 ** 31 - 1))).toMatch(/^(TOO_LARGE|CORRUPT)/);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  test('a small file that claims to be large, without giving it the memory', async () => {
    const before = process.memoryUsage().rss;
    expect(await problem(await claiming(8_000, 8_000))).toMatch(/^(CORRUPT|TRUNCATED)/);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});

describe('what a model is fed', () => {
  /** The pixel at a place, as [r, g, b]. */
  const at = (image: Uint8Array, sizePx: number, x: number, y: number) => [
    ...image.subarray((y * sizePx + x) * 3, (y * sizePx + x) * 3 + 3),
  ];

  test('is a square of RGB bytes, whatever the file has', async () => {
    const half = Buffer.alloc(WIDTH * HEIGHT * 4, 200).fill(0, 0, 0);
    half.forEach((_, i) => i % 4 === 3 && half.writeUInt8(i < half.length / 2 ? 0 : 255, i));
    const files = {
      grey: await grey(100).png().toBuffer(),
      greyJpeg: await grey(100).jpeg({ quality: 100 }).toBuffer(),
      deep: await grey16(100 * 256 + 200)
        .png()
        .toBuffer(),
      alpha: await pixels(4, half).png().toBuffer(),
    };
    for (const bytes of Object.values(files)) expect((await decodeForModel(bytes, 32)).length).toBe(32 * 32 * 3);
    expect(at(await decodeForModel(files.grey, 32), 32, 5, 5)).toEqual([100, 100, 100]);
    expect(at(await decodeForModel(files.greyJpeg, 32), 32, 5, 5)).toEqual([100, 100, 100]);
    expect(at(await decodeForModel(files.deep, 32), 32, 5, 5)).toEqual([100, 100, 100]);
    const flattened = await decodeForModel(files.alpha, 32);
    expect(at(flattened, 32, 16, 2)).toEqual([0, 0, 0]);
    expect(at(flattened, 32, 16, 29)).toEqual([200, 200, 200]);
  });

  test('stands upright', async () => {
    const left = Buffer.from(Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (Math.floor(i / 3) % WIDTH < WIDTH / 2 ? 255 : 0)));
    const upright = await decodeForModel(await pixels(3, left).png().toBuffer(), 32);
    expect([at(upright, 32, 4, 16)[0], at(upright, 32, 28, 16)[0]]).toEqual([255, 0]);
    // Orientation 6: to be turned clockwise by 90°, so what is left in the file is shown at the top.
    const turned = await decodeForModel(await pixels(3, left).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer(), 32);
    expect(at(turned, 32, 16, 4)[0]).toBeGreaterThan(250);
    expect(at(turned, 32, 16, 28)[0]).toBeLessThan(5);
  });

  test('does not show in which format the same picture was stored', async () => {
    // Large enough that a decoder would shrink it by itself if it were let.
    const size = 512;
    const rings = Buffer.from(
      Uint8Array.from({ length: size * size }, (_, i) => 128 + 100 * Math.sin(((i % size) ** 2 + Math.floor(i / size) ** 2) / 900)),
    );
    const jpeg = await pixels(1, rings, size, size).toColourspace('b-w').jpeg().toBuffer();
    const samePixels = await sharp(jpeg).png().toBuffer();
    expect(sha256(await decodeForModel(jpeg, 64))).toBe(sha256(await decodeForModel(samePixels, 64)));
  });

  test('is antialiased when it shrinks', async () => {
    const stripes = Buffer.from(Uint8Array.from({ length: 512 * 512 }, (_, i) => (i % 2 === 0 ? 255 : 0)));
    const image = await decodeForModel(await pixels(1, stripes, 512, 512).png().toBuffer(), 64);
    const inner = Array.from({ length: 56 }, (_, x) => at(image, 64, x + 4, 32)[0] ?? 0);
    for (const value of inner) expect(Math.abs(value - 127.5)).toBeLessThan(2);
  });

  test('never changes for the same file: a change is a new version of the preprocessing', async () => {
    const bytes = await pixels(3).png().toBuffer();
    const once = await decodeForModel(bytes, 40);
    expect(sha256(await decodeForModel(bytes, 40))).toBe(sha256(once));
    expect({
      version: PREPROCESSING.version,
      png: sha256(once),
      jpeg: sha256(await decodeForModel(FIXED_JPEG, 40)),
      enlarged: sha256(await decodeForModel(bytes, 100)),
    }).toEqual({
      version: 2,
      png: 'df6df5a17f42dcec03ade48ea68bb53ced4165b4aa54dda7039c9c7338a730f5',
      jpeg: '12929f6db5cd049d530c3ef5275375eb567fd77fc9be22b77c70cc3394490724',
      enlarged: '9837bd6e82a5d93249027fb4b3c4a6788ce5d07f7ce0e7fb365cf0f1bb27090f',
    });
    expect(JSON.parse(JSON.stringify(PREPROCESSING))).toEqual(PREPROCESSING);
  });

  test('is refused for a file that does not decode and for a size that no model has', async () => {
    await expect(decodeForModel(Buffer.from('no image'), 32)).rejects.toThrow(ImageDecodeError);
    const cut = (await pixels(3).jpeg().toBuffer()).subarray(0, 1000);
    await expect(decodeForModel(cut, 32)).rejects.toThrow(/1000 bytes do not decode as an image: .*premature end/);
    for (const sizePx of [0, 15, 1025, 32.5, Number.NaN]) await expect(decodeForModel(cut, sizePx)).rejects.toThrow(InvalidInputError);
  });
});

/** A JPEG as it was written once, so that the digest does not hang on an encoder. */
const FIXED_JPEG = Buffer.from(
  [
    '/9j/2wBDABAQEBAREBIUFBIZGxgbGSUiHx8iJTgoKygrKDhVNT41NT41VUtbSkVKW0uHal5eaoecg3yDnL2pqb3u4u7/////2wBDARAQEBAREBIUFBIZGxgbGSUiHx8iJT',
    'goKygrKDhVNT41NT41VUtbSkVKW0uHal5eaoecg3yDnL2pqb3u4u7/////wgARCAAoADADASIAAhEBAxEB/8QAGQAAAwEBAQAAAAAAAAAAAAAAAAQFBgMC/8QAGAEBAQEB',
    'AQAAAAAAAAAAAAAAAQADBAL/2gAMAwEAAhADEAAAALS2XYL2hpXVzt1aM+VmdQuPJ7No1o4ne3XZcMWKkGuj9kOji//EABsQAAIDAQEBAAAAAAAAAAAAAAECAAMEMREU/9',
    'oACAEBAAE/AF1IB2X3q4miovPkf3kz1lPJReqiNsYHsp0FzKKg8+JfOS+oVy7QyGNkYnkooZDM9oSfYvnZotDy7OzmLkUjkuzhBL7Sk+xvezPaXlOdXEXYoHZdoDiX1F58',
    'be8lFRSU6Agn/8QAHREAAQQDAQEAAAAAAAAAAAAAAAECAxQREyIjMv/aAAgBAgEBPwCpY6ESoXd/Jbr8mbZS0dEsbXrlSHz+SSV70wp//8QAHhEAAQIHAQAAAAAAAAAAAA',
    'AAAAEUAgMREhMiQjL/2gAIAQMBAT8AuajrPqMOi10NW+w/4JK4/JMmRRpRTDBdU//Z',
  ].join(''),
  'base64',
);
