import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { decodeForModel } from './index.js';

/** Made by scripts/fixtures/make-pillow-fixtures.py. */
const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
const SAMPLES = fileURLToPath(new URL('../../../samples/images/', import.meta.url));
const EXPECTED = /^(.+)\.(\d+)\.expected\.png$/;

/** Grey levels. Pillow rounds between its two directions, libvips after each in fixed point. */
const LARGEST_MEAN_DIFFERENCE = 1;

const files = readdirSync(FIXTURES);
const cases = files.flatMap((file): [string, number, string][] => {
  const [, name, size] = EXPECTED.exec(file) ?? [];
  return name === undefined ? [] : [[name, Number(size), file]];
});

test('X-rays and drawings, made smaller and larger, are compared', () => {
  expect(cases.map(([name]) => name)).toEqual(expect.arrayContaining(['normal-00002154_000', 'grey-down', 'grey-up']));
});

test.each(cases)('%s at %i px is what Pillow makes of it', async (name, sizePx, expected) => {
  const source = files.find((file) => file === `${name}.png` || file === `${name}.jpg`);
  const ours = await decodeForModel(readFileSync(source === undefined ? `${SAMPLES}${name}.jpg` : `${FIXTURES}${source}`), sizePx);
  const theirs = await sharp(`${FIXTURES}${expected}`).toColourspace('srgb').removeAlpha().raw().toBuffer();
  expect(ours.length).toBe(theirs.length);
  const differences = ours.map((value, index) => Math.abs(value - theirs[index]!));
  expect(differences.reduce((sum, difference) => sum + difference, 0) / differences.length).toBeLessThanOrEqual(LARGEST_MEAN_DIFFERENCE);
});
