import { writeFileSync } from 'node:fs';
import { parseTrainingRecipe } from '@roentgen/domain';
import type { EfficientNetVariant, TrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import type { EfficientNetSpec, ModelConventions, ModelVectors } from '@roentgen/efficientnet';
import { Philox, viewEntry } from '@roentgen/tensorflow';
import type { StateLayout } from '@roentgen/tensorflow';
import { PredictionSession, TrainingSession, encodeSafetensors, fixtureVector } from '@roentgen/training';
import type { MicroBatch, Predictions } from '@roentgen/training';
import type { ParityContext } from './context.js';

/** Few: weights and gradients of the classifier travel too. */
export const CLASSES = 10;
const CALIBRATION = { imageSizePx: 64, batchSize: 4 } as const;
const IMAGE_SEED = 20_261_123;

/** A network, its conventions and a batch for it. */
export interface NetworkSetup {
  readonly variant: EfficientNetVariant;
  readonly conventions: ModelConventions;
  readonly imageSizePx: number;
  readonly batchSize: number;
}

export function specOf({ variant, conventions }: NetworkSetup): EfficientNetSpec {
  return efficientNetSpec(variant, CLASSES, conventions);
}

/** By variant and conventions: a large network takes a minute to calibrate. */
const calibrated = new Map<string, ModelVectors>();

/**
 * Random weights, no two tensors alike, with running statistics that fit them as those of a trained network do: the moments of a batch,
 * shifted by a random part. With statistics by formula a network of this depth either loses the image on the way or explodes.
 * Not to be written to.
 */
export function randomVectors(context: ParityContext, { variant, conventions }: NetworkSetup): ModelVectors {
  const key = JSON.stringify([variant, conventions]);
  const vectors = calibrated.get(key) ?? calibrate(context, { variant, conventions, ...CALIBRATION });
  calibrated.set(key, vectors);
  return vectors;
}

function calibrate(context: ParityContext, setup: NetworkSetup): ModelVectors {
  const spec = specOf(setup);
  const weights = fixtureVector(spec.parameters);
  const statistics = fixtureVector(spec.statistics);
  const session = trainingSession(context, setup, recipeOf(setup, { batchNorm: 'batch' }), { weights, statistics });
  try {
    const { momentSum } = session.gradients(randomBatch(setup), Int32Array.of(0, 0));
    // By formula the means lie in ±0.1 and the variances in 1.15 ± 0.15: here they are the random part.
    for (const { group, offset, length } of spec.statistics.entries) {
      for (let i = offset; i < offset + length; i++) {
        statistics[i] = group === 'mean' ? statistics[i]! + momentSum[i]! : statistics[i]! * momentSum[i]!;
      }
    }
    return { weights, statistics };
  } finally {
    session.close();
  }
}

/**
 * Images of which no two and no two corners are alike, so that the logits show where a convolution began: noise on waves of another
 * length, direction and contrast in each. → [batchSize, s, s, 3] RGB bytes
 */
export function randomImages({ imageSizePx: size, batchSize }: Pick<NetworkSetup, 'imageSizePx' | 'batchSize'>): Uint8Array {
  const random = new Philox(IMAGE_SEED, [size]);
  const images = new Uint8Array(batchSize * size * size * 3);
  let at = 0;
  for (let image = 0; image < batchSize; image++) {
    const [level, contrast, right, down] = [
      80 + 90 * random.nextUniform(),
      20 + 50 * random.nextUniform(),
      random.nextUniform(),
      random.nextUniform(),
    ];
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        for (let channel = 0; channel < 3; channel++) {
          const wave = contrast * Math.sin((x * right + y * down) * 0.6 + channel + image);
          images[at++] = Math.max(0, Math.min(255, Math.round(level + wave + 60 * (random.nextUniform() - 0.5))));
        }
      }
    }
  }
  return images;
}

/** All tensors by name in one file. */
export function writeVectors(path: string, spec: EfficientNetSpec, { weights, statistics }: ModelVectors): void {
  const named = (layout: StateLayout, vector: Float32Array) =>
    layout.entries.map((entry) => ({ name: entry.name, shape: entry.shape, data: viewEntry(vector, entry) }));
  writeFileSync(path, encodeSafetensors([...named(spec.parameters, weights), ...named(spec.statistics, statistics)], {}));
}

/** What every request about a network has: where its images lie and how they are normalised. */
export function imagesRequest(context: ParityContext, setup: NetworkSetup) {
  const images = context.path('images.bin');
  writeFileSync(images, randomImages(setup));
  const { variant, imageSizePx, conventions } = setup;
  return { variant, imageSizePx, classes: CLASSES, images, normalization: conventions.normalization };
}

/** The same with our weights, which the peer shall take over. */
export function networkRequest(context: ParityContext, setup: NetworkSetup, spec: EfficientNetSpec, vectors: ModelVectors) {
  const weights = context.path('weights.safetensors');
  writeVectors(weights, spec, vectors);
  const namesOf = (layout: StateLayout) => layout.entries.map(({ name }) => name);
  const names = { parameters: namesOf(spec.parameters), statistics: namesOf(spec.statistics) };
  return { ...imagesRequest(context, setup), weights, names };
}

/** Logits and probabilities with the running statistics, [batchSize · classes] each. */
export function ourPredictions(context: ParityContext, setup: NetworkSetup, vectors: ModelVectors): Predictions {
  const session = PredictionSession.create({ binding: context.binding, numClasses: CLASSES, ...setup });
  try {
    session.setWeights(vectors);
    return session.predict(randomImages(setup), setup.batchSize);
  } finally {
    session.close();
  }
}

export function ourLogits(context: ParityContext, setup: NetworkSetup, vectors: ModelVectors): Float32Array {
  return ourPredictions(context, setup, vectors).logits;
}

/** Labels, and weights in the loss: neither all equal. */
export function randomBatch(setup: NetworkSetup): MicroBatch {
  return {
    images: randomImages(setup),
    labels: Int32Array.from({ length: setup.batchSize }, (_, index) => (index * 37) % CLASSES),
    weights: Float32Array.from({ length: setup.batchSize }, (_, index) => 1 + 0.5 * (index % 3)),
    sampleIds: [],
  };
}

/** Without dropout, whose random numbers no peer can know. */
export function recipeOf({ variant, imageSizePx, batchSize }: NetworkSetup, recipe: object): TrainingRecipe {
  return parseTrainingRecipe({
    ...{ variant, imageSizePx, globalBatchSize: batchSize, microBatchSize: batchSize, dropoutRate: 0, dropConnectRate: 0 },
    ...recipe,
  });
}

/** A session that holds the vectors. The caller closes it. */
export function trainingSession(
  context: ParityContext,
  setup: NetworkSetup,
  recipe: TrainingRecipe,
  vectors: ModelVectors,
): TrainingSession {
  const { conventions } = setup;
  const session = TrainingSession.create({ binding: context.binding, recipe, numClasses: CLASSES, conventions });
  session.setState({ ...session.initialState(0), ...vectors });
  return session;
}
