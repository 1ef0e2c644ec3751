import { readFileSync } from 'node:fs';
import type { TrainingRecipe } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import { decodeSafetensors } from '@roentgen/training';
import type { TrainingSession } from '@roentgen/training';
import { z } from 'zod';
import type { ParityCase } from '../context.js';
import { PEER_OF, conventionsOf } from '../conventions.js';
import type { Library } from '../conventions.js';
import { maxDistance, relativeL2 } from '../distances.js';
import { networkRequest, randomBatch, randomVectors, recipeOf, specOf, trainingSession } from '../network.js';
import type { NetworkSetup } from '../network.js';

const STEPS = 10;
const LEARNING_RATE = 1e-3;
/** Share of the running statistics that a step keeps: PyTorch's `momentum` is 1 minus this. */
const STATISTICS_MOMENTUM = 0.9;
const LOSS_BOUND = 1e-3;
/** Of the way that all weights have gone in ten steps, as one vector. Adam divides by √v: rounding of small gradients comes out as large as them. */
const WEIGHTS_BOUND = 1e-2;
const STATISTICS_BOUND = 1e-3;

type BatchNorm = TrainingRecipe['batchNorm'];

interface TrainingNetwork {
  readonly library: Library;
  readonly batchNorm: BatchNorm;
  readonly optimizer: {
    readonly kind: 'adam' | 'adamw';
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    readonly weightDecay?: number;
  };
}

const BETAS = { beta1: 0.9, beta2: 0.999 } as const;
const ADAMW = { kind: 'adamw', ...BETAS, weightDecay: 0.5 } as const;
/**
 * With batch statistics some gradients are 0 in theory and noise in both; with the usual ε of 1e-8 Adam would make full steps of it, each
 * side its own.
 */
const QUIET = { epsilon: 1e-3 } as const;

const NETWORKS: readonly TrainingNetwork[] = [
  { library: 'timm-tf', batchNorm: 'frozen', optimizer: { ...ADAMW, epsilon: 1e-8 } },
  { library: 'timm-tf', batchNorm: 'batch', optimizer: { ...ADAMW, ...QUIET } },
  { library: 'torchvision', batchNorm: 'batch', optimizer: { ...ADAMW, ...QUIET } },
  { library: 'keras', batchNorm: 'frozen', optimizer: { kind: 'adam', ...BETAS, epsilon: 1e-7 } },
  { library: 'keras', batchNorm: 'batch', optimizer: { kind: 'adam', ...BETAS, ...QUIET } },
];

/** Ten steps on one batch from the same weights: each side computes its own gradients. */
export const trainingCases: readonly ParityCase[] = NETWORKS.map(({ library, batchNorm, optimizer }) => ({
  name: `training/${library}/B0-${optimizer.kind}-${batchNorm}@65`,
  measure: async (context) => {
    const setup: NetworkSetup = { variant: 'B0', conventions: conventionsOf(library, 'B0'), imageSizePx: 65, batchSize: 8 };
    const spec = specOf(setup);
    const vectors = randomVectors(context, setup);
    const { labels, weights } = randomBatch(setup);
    const out = context.path('trained.safetensors');
    const batch = { labels: [...labels], sampleWeights: [...weights], labelSmoothing: 0 };
    const hyperparameters = { batchNorm, optimizer, steps: STEPS, learningRate: LEARNING_RATE, statisticsMomentum: STATISTICS_MOMENTUM };
    const network = networkRequest(context, setup, spec, vectors);
    const peer = await context.peers.get(PEER_OF[library]);
    const theirLosses = await peer.ask('train', { library, out, ...batch, ...hyperparameters, ...network }, z.array(z.number()));
    const theirs = new Map([...decodeSafetensors(readFileSync(out))].map(([name, { data }]) => [name, data]));

    const recipe = recipeOf(setup, { batchNorm, optimizer, learningRate: LEARNING_RATE });
    const session = trainingSession(context, setup, recipe, vectors);
    try {
      const ourLosses = takeSteps(session, setup);
      const state = session.getState();
      const way = (weights: Float32Array) => difference(weights, vectors.weights);
      const wayDistance = relativeL2(way(state.weights), way(flat(theirs, spec.parameters)));
      const measured = [
        { what: `losses of ${STEPS} steps`, distance: maxDistance(ourLosses, theirLosses), bound: LOSS_BOUND },
        { what: `way of the weights in ${STEPS} steps`, distance: wayDistance, bound: WEIGHTS_BOUND },
      ];
      if (batchNorm === 'frozen') return measured;
      const theirStatistics = unbiased(library, setup, flat(theirs, spec.statistics), vectors.statistics, spec.statistics);
      return [...measured, ...compareStatistics(spec.statistics, state.statistics, theirStatistics)];
    } finally {
      session.close();
    }
  },
}));

/** → the mean loss before each step */
function takeSteps(session: TrainingSession, setup: NetworkSetup): number[] {
  const batch = randomBatch(setup);
  return Array.from({ length: STEPS }, (_, step) => {
    const gradients = session.gradients(batch, Int32Array.of(0, step));
    session.apply(gradients, { step, learningRate: LEARNING_RATE, statisticsMomentum: STATISTICS_MOMENTUM });
    return gradients.lossSum / gradients.weightSum;
  });
}

function compareStatistics(layout: StateLayout, ours: Float32Array, theirs: Float32Array) {
  return ['mean', 'variance'].map((group) => {
    const entries = layout.entries.filter((entry) => entry.group === group);
    const distances = entries.map((entry) => relativeL2(viewEntry(ours, entry), viewEntry(theirs, entry)));
    const what = `running ${group === 'mean' ? 'means' : 'unbiased variances'} of ${entries.length} layers`;
    return { what, distance: Math.max(...distances), bound: STATISTICS_BOUND };
  });
}

/**
 * PyTorch keeps the unbiased variance, and so do we; Keras keeps the biased one, which is (n − 1) / n of it for the n values of a channel.
 * What ten steps have added to the starting value is linear in the variances of the batches, so it can be converted after the fact.
 */
function unbiased(
  library: Library,
  { imageSizePx, batchSize }: NetworkSetup,
  theirs: Float32Array,
  start: Float32Array,
  layout: StateLayout,
) {
  if (library !== 'keras') return theirs;
  const kept = STATISTICS_MOMENTUM ** STEPS;
  const converted = theirs.slice();
  for (const entry of layout.entries.filter(({ group }) => group === 'variance')) {
    const values = batchSize * Math.ceil(imageSizePx / strideBefore(entry.name)) ** 2;
    for (let i = entry.offset; i < entry.offset + entry.length; i++) {
      converted[i] = kept * start[i]! + ((converted[i]! - kept * start[i]!) * values) / (values - 1);
    }
  }
  return converted;
}

/** How many times smaller than the image B0's feature map is where a batch norm sees it (Tan & Le 2019, table 1). */
function strideBefore(name: string): number {
  const [, stage, repeat, layer] = /^block(\d)([a-z])_(\w+)\//.exec(name) ?? [];
  if (stage === undefined) return name.startsWith('stem') ? 2 : 32;
  const strides = [2, 4, 8, 16, 16, 32, 32];
  // The first block of a stage makes it smaller, between its expansion and its depthwise convolution.
  const isBefore = repeat === 'a' && layer === 'expand_bn';
  return strides[Number(stage) - (isBefore ? 2 : 1)]!;
}

function flat(tensors: ReadonlyMap<string, Float32Array>, layout: StateLayout): Float32Array {
  const vector = new Float32Array(layout.length);
  for (const entry of layout.entries) {
    const tensor = tensors.get(entry.name);
    if (!tensor) throw new Error(`the peer has no "${entry.name}".`);
    viewEntry(vector, entry).set(tensor);
  }
  return vector;
}

function difference(after: Float32Array, before: Float32Array): Float32Array {
  return after.map((value, i) => value - before[i]!);
}
