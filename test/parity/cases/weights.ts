import { readFileSync } from 'node:fs';
import type { EfficientNetVariant } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { modelConventions, readEfficientNetWeights, readWeightsFile, toModelVectors } from '@roentgen/weights';
import type { WeightSource, WeightsFormat } from '@roentgen/weights';
import type { ParityCase } from '../context.js';
import { PEER_OF, conventionsOf } from '../conventions.js';
import type { Library } from '../conventions.js';
import { maxDistance, relativeL2 } from '../distances.js';
import { CLASSES, networkRequest, ourLogits, randomVectors, specOf } from '../network.js';
import type { NetworkSetup } from '../network.js';
import { LOGITS_BOUND, LogitsSchema, checkSpread } from './logits.js';

interface SavedNetwork {
  readonly library: Library;
  readonly variant: EfficientNetVariant;
  /** How the library is asked to save. */
  readonly format: WeightsFormat | 'keras-weights-h5';
  readonly file: string;
  /** As a user names it where the file does not show it; left out where it does. */
  readonly source?: WeightSource;
}

const NETWORKS: readonly SavedNetwork[] = [
  { library: 'timm', variant: 'B0', format: 'safetensors', file: 'model.safetensors', source: 'timm' },
  { library: 'timm-tf', variant: 'B3', format: 'safetensors', file: 'model.safetensors', source: 'timm-tf' },
  { library: 'timm-tf', variant: 'Lite0', format: 'safetensors', file: 'model.safetensors' },
  { library: 'timm-tf', variant: 'B3', format: 'torch-zip', file: 'model.pth', source: 'timm-tf' },
  { library: 'torchvision', variant: 'B0', format: 'torch-zip', file: 'model.pth' },
  { library: 'torchvision', variant: 'B5', format: 'torch-zip', file: 'model.pth' },
  { library: 'torchvision', variant: 'B0', format: 'torch-stream', file: 'model.pth' },
  { library: 'keras', variant: 'B0', format: 'keras-h5', file: 'model.h5' },
  { library: 'keras', variant: 'B0', format: 'keras-weights-h5', file: 'model.weights.h5' },
  { library: 'keras', variant: 'B3', format: 'keras-weights-h5', file: 'model.weights.h5' },
];

/** The library saves, we read: every number has to arrive, and the same images have to get the same logits, under the conventions that our reader tells. */
export const weightCases: readonly ParityCase[] = NETWORKS.map(({ library, variant, format, file, source }) => ({
  name: `weights/${library}/${variant}-${format}`,
  measure: async (context) => {
    const theirSetup: NetworkSetup = { variant, conventions: conventionsOf(library, variant), imageSizePx: 75, batchSize: 3 };
    const out = context.path(file);
    const peer = await context.peers.get(PEER_OF[library]);
    const ofLibrary = specOf(theirSetup);
    const saved = randomVectors(context, theirSetup);
    const request = { library, format, out, ...networkRequest(context, theirSetup, ofLibrary, saved) };
    const theirs = await peer.ask('save', request, LogitsSchema);
    checkSpread(theirs);
    const { tensors } = await readWeightsFile(readFileSync(out));
    const read = readEfficientNetWeights(tensors, { target: efficientNetSpec(variant, CLASSES), ...(source && { source }) });
    const setup = { ...theirSetup, conventions: modelConventions(read.facts) };
    const spec = specOf(setup);
    const vectors = toModelVectors(read, spec, initializeModel(spec, 0));
    return [
      { what: 'weights', distance: relativeL2(vectors.weights, saved.weights), bound: 0 },
      { what: 'statistics', distance: relativeL2(vectors.statistics, saved.statistics), bound: 0 },
      { what: 'logits', distance: maxDistance(ourLogits(context, setup, vectors), theirs.flat()), bound: LOGITS_BOUND },
    ];
  },
}));
