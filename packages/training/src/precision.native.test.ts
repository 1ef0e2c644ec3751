import { parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, expect, test } from 'vitest';
import { decodeCheckpoint } from './checkpoint.js';
import { NonFiniteLossError } from './errors.js';
import { assembleMicroBatch } from './micro-batch.js';
import type { MicroBatch } from './micro-batch.js';
import { noiseSamples } from './noise-samples.js';
import { TrainingPlan } from './plan.js';
import type { StopRequest, TrainingEvent } from './ports.js';
import { MemoryCheckpoints, eventsOf, inputOf } from './testing/synthetic.js';
import { train } from './train.js';
import type { TrainOptions } from './train.js';
import { TrainingSession } from './training-session.js';

const samples = noiseSamples(4, 32, 2);
/** Small: few CPUs have instructions for fp16. Batch statistics of so few pixels would let gradients explode. */
const RECIPE = { imageSizePx: 32, globalBatchSize: 2, microBatchSize: 2, seed: 3, learningRate: 1e-3, batchNorm: 'frozen' };
/** Even the gradient by the logits, some tenths, does not fit into fp16 times this. */
const FAR_TOO_HIGH = { scale: 2 ** 24, steadySteps: 0, skippedSteps: 0 };

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

function setUp(input: Record<string, unknown>) {
  const plan = new TrainingPlan(parseTrainingRecipe({ ...RECIPE, ...input }), samples.length);
  const session = TrainingSession.create({ binding, recipe: plan.recipe, numClasses: 2 });
  session.start(session.initialState(plan.recipe.seed));
  const checkpoints = new MemoryCheckpoints();
  const events: TrainingEvent[] = [];
  const report = (event: TrainingEvent) => void events.push(event);
  const options: TrainOptions = {
    plan,
    session,
    classes: ['a', 'b'],
    input: inputOf(plan, samples),
    validation: null,
    checkpoints,
    report,
  };
  return { session, checkpoints, options, steps: () => eventsOf(events, 'step-committed') };
}

const sameBits = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

test('in fp16 a gradient that overflows changes nothing but the loss scale, which falls until updates are made', async () => {
  const { session, checkpoints, options, steps } = setUp({ precision: 'fp16', epochs: 4 });
  const start = session.getState();
  session.setState({ ...start, lossScaling: FAR_TOO_HIGH });
  let asked = 0;
  const shouldStop = (): StopRequest => (asked++ === 1 ? 'checkpoint-and-stop' : 'continue');
  const stopped = await train({ ...options, shouldStop });
  expect(steps()).toMatchObject([{ step: 1, skipped: true, lossScale: 2 ** 24, gradientNorm: NaN }]);
  expect(steps()[0]!.loss).toBeGreaterThan(0);
  const { lossScaling, weights, statistics, slots } = session.getState();
  expect(lossScaling).toEqual({ scale: 2 ** 23, steadySteps: 0, skippedSteps: 1 });
  expect(sameBits(weights, start.weights) && sameBits(statistics, start.statistics)).toBe(true);
  expect(slots['m']!.every((value) => value === 0)).toBe(true);

  await train({ ...options, startStep: 1, lastCheckpoint: stopped.lastCheckpoint });
  const skips = steps().map(({ skipped }) => skipped);
  const skippedSteps = skips.indexOf(false);
  expect(skippedSteps).toBeGreaterThan(0);
  expect(skips.slice(skippedSteps)).not.toContain(true);
  expect(steps().map(({ lossScale }) => lossScale)).toEqual(skips.map((_, step) => 2 ** (24 - Math.min(step, skippedSteps))));
  expect(steps().at(-1)!.gradientNorm).toBeGreaterThan(0);
  expect(session.getState().lossScaling).toMatchObject({ scale: 2 ** (24 - skippedSteps), steadySteps: 8 - skippedSteps, skippedSteps });
  const digest = session.digest();
  session.close();

  const resumed = setUp({ precision: 'fp16', epochs: 4 });
  const { tensors, description } = checkpoints.saved[0]!;
  resumed.session.setState(decodeCheckpoint(tensors, description).state);
  await train({ ...resumed.options, startStep: 1, lastCheckpoint: stopped.lastCheckpoint });
  expect(resumed.session.digest()).toBe(digest);
  resumed.session.close();
});

test('only what a lower loss scale can help against is skipped', () => {
  const { session } = setUp({ precision: 'fp16' });
  const start = session.getState();
  const sums = { momentCount: 1, lossSum: 1, weightSum: 2, correctSum: 0, sampleCount: 2 };
  const [gradientSum, momentSum] = [start.weights.map(() => Infinity), new Float32Array(start.statistics.length)];
  session.setSum({ gradientSum, momentSum });
  expect(session.isSumFinite(sums)).toBe(false);
  expect(session.canSkip(sums)).toBe(true);
  expect(session.canSkip({ ...sums, lossSum: NaN })).toBe(false);
  session.setState({ ...start, lossScaling: { scale: 1, steadySteps: 0, skippedSteps: 0 } });
  expect(session.canSkip(sums)).toBe(false);
  session.setState(start);
  session.setSum({ gradientSum, momentSum: momentSum.fill(NaN) });
  expect(session.canSkip(sums)).toBe(false);
  session.close();
});

test('Adam corrects for the updates that there were, not for skipped steps', () => {
  const firstUpdate = (skips: number): Float32Array => {
    const { session } = setUp({ precision: 'fp16' });
    for (let step = 0; step < skips; step++) session.skip({ step });
    const gradientSum = session.getState().weights.map((value) => Math.sign(value));
    const momentSum = new Float32Array(session.spec.statistics.length);
    const sums = { momentCount: 1, lossSum: 1, weightSum: 1, correctSum: 0, sampleCount: 1 };
    session.apply({ ...sums, gradientSum, momentSum }, { step: skips, learningRate: 1e-3, statisticsMomentum: 0.9 });
    const { weights } = session.getState();
    session.close();
    return weights;
  };
  expect(sameBits(firstUpdate(3), firstUpdate(0))).toBe(true);
});

test.each([{}, { precision: 'bf16' }])('%j has no loss scale: what overflows has diverged', async (input) => {
  const { session, options } = setUp(input);
  const state = session.getState();
  expect(state.lossScaling).toBeNull();
  const broken = { ...options.input, batch: async (step: number) => (await options.input.batch(step)).map(withInfiniteWeights) };
  await expect(train({ ...options, input: broken })).rejects.toThrow(NonFiniteLossError);
  expect(sameBits(session.getState().weights, state.weights)).toBe(true);
  session.close();
});

function withInfiniteWeights(batch: MicroBatch): MicroBatch {
  return { ...batch, weights: batch.weights.map(() => Infinity) };
}

test('twenty steps in bf16 end with the same bits every time, recomputed or not', () => {
  const digestAfterTwentySteps = (input: Record<string, unknown>): string => {
    const { session, options } = setUp({ precision: 'bf16', epochs: 20, ...input });
    const { plan } = options;
    for (let step = 0; step < 20; step++) {
      const batches = plan.microBatches(step).map((microBatch, index) => ({
        batch: assembleMicroBatch(microBatch, plan.recipe.imageSizePx, (sample) => samples[sample]!),
        dropoutSeed: plan.dropoutSeed(step, index),
      }));
      const sums = session.sumGradients(batches);
      session.applySum(sums, { step, learningRate: plan.learningRate(step), statisticsMomentum: plan.statisticsMomentum(step) });
    }
    const digest = session.digest();
    session.close();
    return digest;
  };
  const input = { globalBatchSize: 4, microBatchSize: 4, batchNorm: 'batch' };
  const digest = digestAfterTwentySteps(input);
  expect(digestAfterTwentySteps({ ...input, recompute: true })).toBe(digest);
});
