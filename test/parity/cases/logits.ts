import type { EfficientNetVariant } from '@roentgen/domain';
import { z } from 'zod';
import type { ParityCase } from '../context.js';
import { PEER_OF, conventionsOf } from '../conventions.js';
import type { Library } from '../conventions.js';
import { maxDistance } from '../distances.js';
import { CLASSES, networkRequest, ourLogits, randomVectors, specOf } from '../network.js';
import type { NetworkSetup } from '../network.js';

/** max |ours − theirs| / max |theirs|, float32 against float32 on a CPU. */
export const LOGITS_BOUND = 1e-4;
export const LogitsSchema = z.array(z.array(z.number()).length(CLASSES));

/** The least by which logits of two images have to differ, relative to the largest: else they would not show what the network did. */
const LEAST_SPREAD = 0.01;

/** Odd sizes: there the two paddings, and each one's two ways of rounding, are told apart. */
const NETWORKS: readonly (readonly [Library, EfficientNetVariant, imageSizePx: number, batchSize: number])[] = [
  ['keras', 'B0', 224, 2],
  ['keras', 'B0', 97, 3],
  ['keras', 'B3', 75, 3],
  ['keras', 'B7', 67, 2],
  ['timm-tf', 'B0', 97, 3],
  ['timm-tf', 'B3', 75, 3],
  ['timm-tf', 'B7', 67, 2],
  ['timm-tf', 'Lite0', 97, 3],
  ['timm-tf', 'Lite0', 224, 2],
  ['timm', 'B0', 97, 3],
  ['timm', 'B0', 224, 2],
  ['timm', 'B3', 75, 3],
  ['torchvision', 'B0', 97, 3],
  ['torchvision', 'B3', 75, 3],
  ['torchvision', 'B7', 67, 2],
];

export const logitCases: readonly ParityCase[] = NETWORKS.map(([library, variant, imageSizePx, batchSize]) => ({
  name: `logits/${library}/${variant}@${imageSizePx}`,
  measure: async (context) => {
    const setup: NetworkSetup = { variant, conventions: conventionsOf(library, variant), imageSizePx, batchSize };
    const spec = specOf(setup);
    const vectors = randomVectors(context, setup);
    const peer = await context.peers.get(PEER_OF[library]);
    const theirs = await peer.ask('logits', { library, ...networkRequest(context, setup, spec, vectors) }, LogitsSchema);
    checkSpread(theirs);
    return [{ what: 'logits', distance: maxDistance(ourLogits(context, setup, vectors), theirs.flat()), bound: LOGITS_BOUND }];
  },
}));

/** @throws Error when the logits hardly depend on the image */
export function checkSpread([first = [], ...others]: readonly (readonly number[])[]): void {
  const spread = Math.min(...others.map((logits) => maxDistance(logits, first)));
  if (!(spread >= LEAST_SPREAD))
    throw new Error(`the logits of two images differ by ${spread}: they would not show an error in the network.`);
}
