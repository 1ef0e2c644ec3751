import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeForModel } from '@roentgen/imaging';
import { z } from 'zod';
import type { ParityCase } from '../context.js';
import { meanDistance } from '../distances.js';

/** Grey levels: the mean over all pixels and channels. Both sides round to whole levels, between their two passes too. */
const BOUND = 1;

const sample = (name: string) => fileURLToPath(new URL(`../../../samples/images/${name}.jpg`, import.meta.url));

/** An X-ray of the samples (320 px), or a drawn picture in a file of some kind. */
type Source =
  | { readonly sample: string }
  | {
      readonly widthPx: number;
      readonly heightPx: number;
      readonly mode: 'L' | 'RGB' | 'I;16';
      readonly extension: 'jpg' | 'png';
      readonly progressive?: boolean;
    };

const FILES: readonly (readonly [name: string, source: Source, sizePx: number])[] = [
  ['x-ray-jpeg-down', { sample: 'pneumonia-00003391_002' }, 224],
  ['x-ray-jpeg-down-odd', { sample: 'normal-00002154_000' }, 97],
  ['x-ray-jpeg-up', { sample: 'normal-00003828_000' }, 456],
  ['grey-jpeg-down', { widthPx: 1023, heightPx: 769, mode: 'L', extension: 'jpg' }, 224],
  ['grey-png-down', { widthPx: 1023, heightPx: 769, mode: 'L', extension: 'png' }, 224],
  ['grey-png-down-far', { widthPx: 2049, heightPx: 1537, mode: 'L', extension: 'png' }, 97],
  ['grey-png-up', { widthPx: 101, heightPx: 67, mode: 'L', extension: 'png' }, 300],
  ['grey-png-same-size', { widthPx: 97, heightPx: 97, mode: 'L', extension: 'png' }, 97],
  ['grey-16-bit-png', { widthPx: 515, heightPx: 389, mode: 'I;16', extension: 'png' }, 224],
  ['colour-jpeg-down', { widthPx: 803, heightPx: 601, mode: 'RGB', extension: 'jpg' }, 224],
  ['colour-jpeg-progressive', { widthPx: 803, heightPx: 601, mode: 'RGB', extension: 'jpg', progressive: true }, 131],
  ['colour-png-down', { widthPx: 803, heightPx: 601, mode: 'RGB', extension: 'png' }, 224],
  ['colour-png-stretched', { widthPx: 640, heightPx: 61, mode: 'RGB', extension: 'png' }, 225],
];

export const preprocessingCases: readonly ParityCase[] = FILES.map(([name, source, sizePx]) => ({
  name: `preprocessing/pillow/${name}@${sizePx}`,
  measure: async (context) => {
    const peer = await context.peers.get('pillow');
    let file: string;
    if ('sample' in source) {
      file = sample(source.sample);
    } else {
      file = context.path(`picture.${source.extension}`);
      await peer.ask('make', { ...source, out: file }, z.null());
    }
    const out = context.path('pixels.bin');
    const [width, height] = await peer.ask('resize', { file, sizePx, out }, z.tuple([z.int(), z.int()]));
    const ours = await decodeForModel(readFileSync(file), sizePx);
    return [{ what: `grey levels, from ${width}×${height}`, distance: meanDistance(ours, readFileSync(out)), bound: BOUND }];
  },
}));
