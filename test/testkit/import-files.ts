import { createHash } from 'node:crypto';
import type { ImportFile } from '@roentgen/client';
import type { SyntheticImage } from './seed.js';

/** Images in memory as the SDK takes files. */
export function importFiles(images: readonly Pick<SyntheticImage, 'fileName' | 'label' | 'patient' | 'bytes'>[]): ImportFile[] {
  return images.map(({ bytes, ...names }) => ({
    ...names,
    bytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    read: () => Promise.resolve(bytes),
  }));
}

export const SPLIT = { seed: 1, train: 0.6, val: 0.2, test: 0.2 };
