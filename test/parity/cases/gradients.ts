import { readFileSync } from 'node:fs';
import type { EfficientNetVariant } from '@roentgen/domain';
import { decodeSafetensors } from '@roentgen/training';
import { z } from 'zod';
import { compareGradients } from '../compare-gradients.js';
import type { ParityCase } from '../context.js';
import { PEER_OF, conventionsOf } from '../conventions.js';
import type { Library } from '../conventions.js';
import { networkRequest, randomBatch, randomVectors, recipeOf, specOf, trainingSession } from '../network.js';
import type { NetworkSetup } from '../network.js';

const LOSS_BOUND = 1e-5;
/**
 * Gradients with a smaller part of the total norm are left out with batch statistics: those of the linear bottlenecks' beta are exactly 0
 * in theory, so both sides have only rounding noise.
 */
const RELEVANT_PART = { batch: 1e-3, frozen: 0 } as const;
const LABEL_SMOOTHING = 0.1;

type BatchNorm = keyof typeof RELEVANT_PART;

const NETWORKS: readonly (readonly [Library, EfficientNetVariant, BatchNorm, imageSizePx: number, batchSize: number])[] = [
  ['keras', 'B0', 'batch', 65, 8],
  ['keras', 'B0', 'frozen', 75, 4],
  ['keras', 'B3', 'batch', 65, 6],
  ['timm-tf', 'B0', 'batch', 65, 8],
  ['timm-tf', 'B0', 'frozen', 75, 4],
  ['timm-tf', 'Lite0', 'frozen', 33, 2],
  ['timm', 'B0', 'batch', 65, 8],
  ['torchvision', 'B0', 'frozen', 75, 4],
  ['torchvision', 'B3', 'batch', 65, 6],
];

export const gradientCases: readonly ParityCase[] = NETWORKS.map(([library, variant, batchNorm, imageSizePx, batchSize]) => ({
  name: `gradients/${library}/${variant}-${batchNorm}@${imageSizePx}`,
  measure: async (context) => {
    const setup: NetworkSetup = { variant, conventions: conventionsOf(library, variant), imageSizePx, batchSize };
    const spec = specOf(setup);
    const vectors = randomVectors(context, setup);
    const batch = randomBatch(setup);
    const out = context.path('gradients.safetensors');
    const peer = await context.peers.get(PEER_OF[library]);
    const labels = [...batch.labels];
    const request = { library, batchNorm, labels, sampleWeights: [...batch.weights], labelSmoothing: LABEL_SMOOTHING, out };
    const loss = await peer.ask('gradients', { ...request, ...networkRequest(context, setup, spec, vectors) }, z.number());

    const session = trainingSession(context, setup, recipeOf(setup, { batchNorm, labelSmoothing: LABEL_SMOOTHING }), vectors);
    try {
      const { gradientSum, lossSum } = session.gradients(batch, Int32Array.of(0, 0));
      const theirs = new Map([...decodeSafetensors(readFileSync(out))].map(([name, { data }]) => [name, data]));
      return [
        { what: 'loss', distance: Math.abs(lossSum / loss - 1), bound: LOSS_BOUND },
        ...compareGradients(spec.parameters, gradientSum, theirs, RELEVANT_PART[batchNorm]),
      ];
    } finally {
      session.close();
    }
  },
}));
