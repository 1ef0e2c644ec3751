import { parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, expect, test } from 'vitest';
import { decodeCheckpoint, decodeModel } from './checkpoint.js';
import { InvalidBatchError, NonFiniteLossError } from './errors.js';
import { evaluate } from './evaluate.js';
import { noiseSamples } from './noise-samples.js';
import { TrainingPlan } from './plan.js';
import type { StopRequest, TrainingEvent } from './ports.js';
import { PredictionSession } from './prediction-session.js';
import { MemoryCheckpoints, evaluationOf, eventsOf, inputOf } from './testing/synthetic.js';
import { train } from './train.js';
import type { TrainOptions } from './train.js';
import { TrainingSession } from './training-session.js';

const CLASSES = ['normal', 'pneumonia'];
const samples = noiseSamples(32, 32, CLASSES.length);
const tiny = { imageSizePx: 32, globalBatchSize: 8, microBatchSize: 4, epochs: 2, seed: 5 };

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

/** A session in its starting state with everything that `train` wants. */
function setUp(input: Record<string, unknown>) {
  const recipe = parseTrainingRecipe(input);
  const plan = new TrainingPlan(recipe, samples.length);
  const session = TrainingSession.create({ binding, recipe, numClasses: CLASSES.length });
  session.setState(session.initialState(recipe.seed));
  const checkpoints = new MemoryCheckpoints();
  const events: TrainingEvent[] = [];
  const options: TrainOptions = {
    plan,
    session,
    classes: CLASSES,
    input: inputOf(plan, samples),
    validation: null,
    checkpoints,
    report: (event) => void events.push(event),
  };
  return { plan, session, checkpoints, events, options };
}

test('32 images are learnt by heart, and the saved model predicts all of them', async () => {
  const { session, checkpoints, events, options } = setUp({
    ...{
      imageSizePx: 32,
      globalBatchSize: 16,
      microBatchSize: 16,
      epochs: 25,
      learningRate: 3e-3,
      seed: 1,
      dropoutRate: 0,
      dropConnectRate: 0,
    },
    checkpointEveryEpochs: 25,
  });
  const result = await train({ ...options, validation: evaluationOf(samples, 10) });
  session.close();

  expect(result).toMatchObject({ status: 'completed', epoch: 25, step: 50 });
  expect(result.lastEvaluation).toMatchObject({ n: 32, accuracy: 1, majorityBaselineAccuracy: 0.5, auroc: 1 });
  expect(eventsOf(events, 'step-committed').at(-1)!.loss).toBeLessThan(0.1);

  const model = decodeModel(checkpoints.saved.at(-1)!.tensors, checkpoints.saved.at(-1)!.description);
  const prediction = PredictionSession.create({
    binding,
    variant: model.description.variant,
    numClasses: 2,
    imageSizePx: 32,
    batchSize: 5,
  });
  prediction.setWeights(model);
  expect((await evaluate(prediction, evaluationOf(samples, 32), CLASSES)).accuracy).toBe(1);
  expect(model.description.metrics).toEqual(result.lastEvaluation);
  prediction.close();
});

test('events tell the run in order', async () => {
  const { session, events, options } = setUp(tiny);
  await train({ ...options, validation: evaluationOf(samples.slice(0, 6), 4) });
  session.close();
  const epoch = ['epoch-started', ...new Array<string>(4).fill('step-committed'), 'evaluated', 'checkpoint-saved'];
  expect(events.map(({ type }) => type)).toEqual([...epoch, ...epoch]);
  expect(eventsOf(events, 'step-committed').map(({ epoch: e, step }) => [e, step])).toEqual(
    [1, 2, 3, 4, 5, 6, 7, 8].map((step) => [step <= 4 ? 1 : 2, step]),
  );
  expect(eventsOf(events, 'epoch-started')[1]).toEqual({
    type: 'epoch-started',
    epoch: 2,
    epochs: 2,
    step: 4,
    stepsPerEpoch: 4,
    leftOutSamples: [],
  });
  for (const { gradientNorm, imagesPerSecond, durations } of eventsOf(events, 'step-committed')) {
    expect(gradientNorm).toBeGreaterThan(0);
    expect(imagesPerSecond).toBeGreaterThan(0);
    expect(Math.min(...Object.values(durations))).toBeGreaterThanOrEqual(0);
  }
});

test.each([
  { updates: 'Adam', recipe: {} },
  { updates: 'AdamW, clipping and a moving average', recipe: { optimizer: { kind: 'adamw' }, clipNorm: 0.5, emaDecay: 0.99 } },
  { updates: 'SGD and a moving average', recipe: { optimizer: { kind: 'sgd' }, learningRate: 0.05, emaDecay: 0.9 } },
  { updates: 'Adam and augmented images', recipe: { augmentation: { preset: 'light', horizontalFlip: true } } },
  { updates: 'AdamW with a frozen first epoch', recipe: { optimizer: { kind: 'adamw' }, freeze: { until: 'head', epochs: 1 } } },
])('a run with $updates that is stopped in mid-epoch and resumed ends with the same bits as one that was left alone', async (row) => {
  const input = { ...tiny, ...row.recipe };
  const calm = setUp(input);
  await train(calm.options);
  const expected = calm.session.digest();
  calm.session.close();

  const shaken = setUp(input);
  let asked = 0;
  const shouldStop = (): StopRequest => (asked++ === 3 ? 'checkpoint-and-stop' : 'continue');
  expect(await train({ ...shaken.options, shouldStop })).toMatchObject({
    status: 'stopped',
    epoch: 1,
    step: 3,
    lastCheckpoint: { step: 3 },
  });
  shaken.session.close();

  const resumed = setUp(input);
  const saved = shaken.checkpoints.saved.at(-1)!;
  const checkpoint = decodeCheckpoint(saved.tensors, saved.description);
  resumed.session.setState(checkpoint.state);
  const result = await train({ ...resumed.options, startStep: checkpoint.description.step, lastCheckpoint: saved.ref });
  expect(result).toMatchObject({ status: 'completed', step: 8 });
  expect(eventsOf(resumed.events, 'step-committed')[0]!.step).toBe(4);
  expect(resumed.session.digest()).toBe(expected);
  resumed.session.close();
});

test('a run that is stopped between two epochs goes on with the next one and evaluates none twice', async () => {
  const validation = evaluationOf(samples.slice(0, 6), 4);
  const recipe = { ...tiny, checkpointEveryEpochs: 2 };
  const calm = setUp(recipe);
  await train({ ...calm.options, validation });
  const expected = calm.session.digest();
  calm.session.close();

  const shaken = setUp(recipe);
  const shouldStop = (): StopRequest => (eventsOf(shaken.events, 'evaluated').length === 1 ? 'checkpoint-and-stop' : 'continue');
  expect(await train({ ...shaken.options, validation, shouldStop })).toMatchObject({ status: 'stopped', epoch: 1, step: 4 });
  shaken.session.close();

  const resumed = setUp(recipe);
  const saved = shaken.checkpoints.saved[0]!;
  const { description, state } = decodeCheckpoint(saved.tensors, saved.description);
  expect(description).toMatchObject({ epoch: 1, step: 4, metrics: { n: 6 } });
  resumed.session.setState(state);
  await train({ ...resumed.options, validation, startStep: description.step, lastCheckpoint: saved.ref });
  const told = (events: readonly TrainingEvent[]) => events.map(({ type, epoch, step }) => `${type} ${epoch}/${step}`);
  expect([...told(shaken.events), ...told(resumed.events)]).toEqual([
    ...told(calm.events).slice(0, 6),
    'checkpoint-saved 1/4',
    ...told(calm.events).slice(6),
  ]);
  expect(resumed.session.digest()).toBe(expected);
  resumed.session.close();
});

test('what is evaluated and saved as the model is the moving average of the weights', async () => {
  const { session, checkpoints, options } = setUp({ ...tiny, epochs: 1, learningRate: 0.01, emaDecay: 0.9 });
  const result = await train({ ...options, validation: evaluationOf(samples, 8) });
  const { weights, ema } = session.getState();
  const sameBits = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
  expect(sameBits(weights, ema!)).toBe(false);
  const { tensors, description } = checkpoints.saved.at(-1)!;
  const model = decodeModel(tensors, description);
  expect(sameBits(model.weights, ema!)).toBe(true);
  const prediction = PredictionSession.create({ binding, variant: 'B0', numClasses: 2, imageSizePx: 32, batchSize: 4 });
  prediction.setWeights(model);
  expect((await evaluate(prediction, evaluationOf(samples, 8), CLASSES)).loss).toBe(result.lastEvaluation!.loss);
  prediction.setWeights({ ...model, weights });
  expect((await evaluate(prediction, evaluationOf(samples, 8), CLASSES)).loss).not.toBe(result.lastEvaluation!.loss);
  prediction.close();
  session.close();
});

test('stop without a checkpoint saves nothing', async () => {
  const { session, checkpoints, options } = setUp(tiny);
  let asked = 0;
  expect(await train({ ...options, shouldStop: () => (asked++ === 2 ? 'stop' : 'continue') })).toEqual({
    status: 'stopped',
    epoch: 1,
    step: 2,
    lastCheckpoint: null,
    lastEvaluation: null,
  });
  expect(checkpoints.saved).toEqual([]);
  session.close();
});

test('a model that predicts no numbers ends the run at its evaluation, although every step was finite', async () => {
  const { session, checkpoints, options, events } = setUp(tiny);
  // Training with batch statistics never looks at the running ones; the evaluation does, and roots of negative variances are no numbers.
  const state = session.getState();
  session.setState({ ...state, statistics: state.statistics.map(() => -1e30) });
  const run = train({ ...options, validation: evaluationOf(samples.slice(0, 6), 4) });
  await expect(run).rejects.toMatchObject({
    code: 'NON_FINITE_LOSS',
    message: expect.stringMatching(/after step 4 \(epoch 1\) the validation loss is NaN/) as string,
  });
  expect(eventsOf(events, 'evaluated')).toHaveLength(1);
  expect(checkpoints.saved).toEqual([]);
  session.close();
});

test('a loss that is not finite ends the run before it touches the weights', async () => {
  const { plan, session, checkpoints, options } = setUp(tiny);
  const healthy = inputOf(plan, samples);
  let digestBefore = '';
  const input = {
    batch: async (step: number) => {
      const batch = await healthy.batch(step);
      if (step !== 5) return batch;
      digestBefore = session.digest();
      return batch.map((microBatch) => ({ ...microBatch, weights: microBatch.weights.map(() => Number.POSITIVE_INFINITY) }));
    },
  };
  const error: unknown = await train({ ...options, input }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect(error).toMatchObject({
    code: 'NON_FINITE_LOSS',
    message: expect.stringMatching(/in step 6 \(epoch 2\) the loss is NaN.*checkpoint-1 of step 4/) as string,
    details: { step: 6, epoch: 2, lastCheckpoint: checkpoints.saved[0]!.ref },
  });
  expect(session.digest()).toBe(digestBefore);
  session.close();
});

test('weights that the last update made infinite never get into a checkpoint', async () => {
  const { session, checkpoints, events, options } = setUp({ ...tiny, epochs: 1 });
  // So small that the accelerator takes it for 0: a weight without a gradient is then updated by 0 / 0.
  const optimizer = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-60 } as const;
  const recipe = { ...options.plan.recipe, optimizer, globalBatchSize: 32 };
  const broken = TrainingSession.create({ binding, recipe, numClasses: CLASSES.length });
  broken.setState(session.getState());
  const plan = new TrainingPlan(recipe, samples.length);
  const error: unknown = await train({ ...options, plan, input: inputOf(plan, samples), session: broken }).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({
    code: 'NON_FINITE_LOSS',
    message: expect.stringContaining('weights that are not finite') as string,
    details: { step: 1, epoch: 1 },
  });
  expect(eventsOf(events, 'step-committed')).toHaveLength(1);
  expect(checkpoints.saved).toEqual([]);
  broken.close();
  session.close();
});

test('an input that does not follow the plan is refused', async () => {
  const { session, plan, options } = setUp(tiny);
  const healthy = inputOf(plan, samples);
  const input = { batch: async (step: number) => (await healthy.batch(step)).slice(1) };
  await expect(train({ ...options, input })).rejects.toThrow('step 0 got 1 micro-batches, the plan has 2.');
  session.close();
});

test('evaluation on nothing, or with a label that is no class, is an error', async () => {
  const { session } = setUp(tiny);
  await expect(evaluate(session, evaluationOf([], 4), CLASSES)).rejects.toThrow(InvalidBatchError);
  await expect(evaluate(session, evaluationOf([{ ...samples[0]!, label: 2 }], 4), CLASSES)).rejects.toThrow(
    'label 2 is no class: there are 2, numbered from 0.',
  );
  session.close();
});
