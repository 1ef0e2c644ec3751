/** Ours: what a worker does per step, besides fetching images. Started by the benchmarks, see harness/contestant.ts. */
import { EFFICIENTNET_VARIANT_NAMES, parseTrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { OnnxSession } from '@roentgen/onnx';
import { loadBinding } from '@roentgen/tensorflow';
import { TrainingSession } from '@roentgen/training';
import { z } from 'zod';
import { serve, type Step } from './protocol.js';
import { pseudoRandomBytes } from './synthetic-batch.js';
import { TimedBinding } from './timed-binding.js';

const SetupSchema = z.object({
  mode: z.enum(['train-step', 'inference']),
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  imageSizePx: z.number(),
  batchSize: z.number(),
  classes: z.number(),
  learningRate: z.number(),
  threads: z.number(),
  batchNorm: z.enum(['batch', 'frozen']).default('batch'),
  recompute: z.boolean().default(false),
});
type Setup = z.output<typeof SetupSchema>;

const SEED = 0;

function trainingStep({ variant, imageSizePx, batchSize, classes, learningRate, batchNorm, recompute }: Setup): Step {
  const timed = new TimedBinding(loadBinding());
  const recipe = parseTrainingRecipe({
    ...{ variant, imageSizePx, learningRate, seed: SEED, dropoutRate: 0, dropConnectRate: 0, batchNorm, recompute },
    ...{ globalBatchSize: batchSize, microBatchSize: batchSize },
  });
  const session = TrainingSession.create({ binding: timed.binding, recipe, numClasses: classes });
  session.start(initializeModel(session.spec, SEED));
  const batch = {
    images: pseudoRandomBytes(batchSize * imageSizePx * imageSizePx * 3),
    labels: Int32Array.from({ length: batchSize }, (_, index) => (index * 37) % classes),
    weights: new Float32Array(batchSize).fill(1),
    sampleIds: [],
  };
  let step = 0;
  return () =>
    timed.step(() => {
      const sums = session.sumGradients([{ batch, dropoutSeed: Int32Array.of(SEED, step) }]);
      if (!session.isSumFinite(sums)) throw new Error(`step ${step} is not finite; its loss is ${sums.lossSum}`);
      session.applySum(sums, { step, learningRate, statisticsMomentum: recipe.batchNormMomentum });
      step += 1;
    });
}

/** As a worker on a CPU predicts: onnxruntime, one image after the other. */
async function predictionStep({ variant, imageSizePx, batchSize, classes, threads }: Setup): Promise<Step> {
  const spec = efficientNetSpec(variant, classes);
  const session = await OnnxSession.create({ network: { spec, imageSizePx, ...initializeModel(spec, SEED) }, batchSize: 1, threads });
  const images = pseudoRandomBytes(batchSize * imageSizePx * imageSizePx * 3);
  return async () => {
    const { probabilities } = await session.predict(images, batchSize);
    const sum = probabilities.reduce((total, value) => total + value, 0);
    if (!(Math.abs(sum - batchSize) < 1e-2)) throw new Error(`the probabilities of ${batchSize} images add up to ${sum}`);
  };
}

await serve(SetupSchema, (setup) => (setup.mode === 'train-step' ? trainingStep(setup) : predictionStep(setup)));
