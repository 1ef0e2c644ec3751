import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';

export interface SyntheticImage {
  readonly fileName: string;
  readonly label: string;
  readonly patient: string;
  readonly bytes: Buffer<ArrayBuffer>;
}

export interface SyntheticDatasetOptions {
  readonly images: number;
  readonly patients: number;
  readonly sizePx?: number;
  readonly seed?: number;
  /** Class names; the images and patients are dealt to them in turn. */
  readonly labels?: readonly string[];
}

/** A small generator of uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Grey images that have something of a chest X-ray: a bright body with two dark lungs and noise. The first label's lungs are clear; each further one
 * has that many bright spots in them, so that the classes can be learned. Every patient has one label and, as far as the numbers allow, several images.
 */
export async function syntheticDataset({
  images,
  patients,
  sizePx = 64,
  seed = 1,
  labels = ['normal', 'pneumonia'],
}: SyntheticDatasetOptions): Promise<SyntheticImage[]> {
  const random = randomNumbers(seed);
  return Promise.all(
    Array.from({ length: images }, async (_, index) => {
      const patient = index % patients;
      const label = labels[patient % labels.length] ?? '';
      const pixels = drawChest(sizePx, (patient % labels.length) * 2, random);
      const bytes = await sharp(pixels, { raw: { width: sizePx, height: sizePx, channels: 1 } })
        .png()
        .toBuffer();
      return {
        fileName: `images/${label}-${String(index).padStart(4, '0')}.png`,
        label,
        patient: `patient-${seed}-${patient}`,
        bytes: Buffer.from(bytes),
      };
    }),
  );
}

/** Writes the images and `labels.csv` below the folder. */
export async function writeDataset(
  directory: string,
  images: readonly Pick<SyntheticImage, 'fileName' | 'label' | 'patient' | 'bytes'>[],
): Promise<void> {
  for (const { fileName, bytes } of images) {
    await mkdir(dirname(join(directory, fileName)), { recursive: true });
    await writeFile(join(directory, fileName), bytes);
  }
  const rows = images.map(({ fileName, label, patient }) => `${fileName},${label},${patient}\n`);
  await writeFile(join(directory, 'labels.csv'), `file,label,patient\n${rows.join('')}`);
}

function drawChest(sizePx: number, spots: number, random: () => number): Buffer {
  const pixels = Buffer.alloc(sizePx * sizePx);
  const lungs = [0.3, 0.7].map((x) => ({ x: x + (random() - 0.5) * 0.05, y: 0.5 + (random() - 0.5) * 0.05 }));
  const opacities = Array.from({ length: spots }, (_, index) => {
    const lung = lungs[index % lungs.length] ?? { x: 0.5, y: 0.5 };
    return { x: lung.x + (random() - 0.5) * 0.1, y: lung.y + (random() - 0.5) * 0.3 };
  });
  for (let row = 0; row < sizePx; row++) {
    for (let column = 0; column < sizePx; column++) {
      const x = column / sizePx;
      const y = row / sizePx;
      const bump = (place: { x: number; y: number }, width: number, height: number) =>
        Math.exp(-(((x - place.x) / width) ** 2) - ((y - place.y) / height) ** 2);
      const dark = lungs.reduce((sum, lung) => sum + bump(lung, 0.13, 0.3), 0);
      const bright = opacities.reduce((sum, spot) => sum + bump(spot, 0.08, 0.08), 0);
      pixels[row * sizePx + column] = Math.max(0, Math.min(255, 190 - 140 * dark + 120 * bright + (random() - 0.5) * 20));
    }
  }
  return pixels;
}
