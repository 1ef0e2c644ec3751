import { parseTrainingRecipe, type TrainingRecipe } from '@roentgen/domain';
import { initializeModel } from '@roentgen/efficientnet';
import { FeedError, Graph, Session, expectDType, ops } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { TrainingPlan, TrainingSession, assembleMicroBatch, noiseSamples } from '@roentgen/training';
import { checkThat, type Check } from './check.js';

const CLASSES = 2;
const IMAGES = 16;
/** As the worker trains, with dropout and drop-connect: their random numbers must come again as well. */
const RECIPE = { imageSizePx: 64, globalBatchSize: 16, microBatchSize: 16, epochs: 20, learningRate: 1e-3, seed: 20 };
const DETERMINISM_STEPS = 5;
const LEARNING_STEPS = 20;
/** Mean loss of the last five steps as a part of that of the first five. */
const LEARNING_BOUND = 0.8;

/** What must be true of the session on this device before a run is trusted to it; each is told before the next may end the process. */
export function* trainingChecks(binding: TensorFlowBinding): Generator<Check> {
  yield feedSafety(binding);
  yield determinism(binding);
  yield learning(binding);
}

/** TensorFlow does not check the rank of a feed and aborts the process inside a kernel, so ours must; the call after it must work. */
export function feedSafety(binding: TensorFlowBinding): Check {
  const graph = new Graph();
  const x = graph.placeholder('x', 'float32', [1, 2, 2, 1]);
  const doubled = ops.identity(graph, ops.mul(graph, x, graph.scalar(2)), { name: 'doubled' });
  const endpoint = graph.endpoint('double', { x }, { doubled: expectDType(doubled, 'float32') });
  const session = Session.load(binding, graph.compile());
  try {
    const data = Float32Array.of(1, 2, 3, 4);
    const refusal = thrownBy(() => session.run(endpoint, { x: { data, shape: [4] } }));
    const after = session.run(endpoint, { x: { data, shape: [1, 2, 2, 1] } }).doubled.join();
    return checkThat(refusal instanceof FeedError && after === '2,4,6,8', {
      name: 'feed safety',
      measured: `${refusal instanceof Error ? `${refusal.name}: ${refusal.message}` : 'no error'} Next call: [${after}].`,
      bound: 'a FeedError, and the next call gives [2,4,6,8]',
    });
  } finally {
    session.close();
  }
}

/** The same steps from the same seed must end in the same bits of weights, optimiser and statistics. */
export function determinism(binding: TensorFlowBinding): Check {
  const digests = withSession(binding, RECIPE, (session, recipe) =>
    [1, 2].map(() => {
      trainSteps(session, recipe, DETERMINISM_STEPS);
      return session.digest();
    }),
  );
  const [first = '', second = ''] = digests;
  const same = first !== '' && first === second;
  const advice =
    ' Where TensorFlow has it for the GPU, TF_DETERMINISTIC_OPS=1 in the environment of the worker chooses repeatable kernels.';
  return checkThat(same, {
    name: 'determinism',
    measured: same ? `SHA-256 ${first.slice(0, 16)}… both times` : `SHA-256 ${first.slice(0, 16)}… and ${second.slice(0, 16)}….${advice}`,
    bound: `equal SHA-256 of all state after ${DETERMINISM_STEPS} steps from one seed`,
    values: { first, second },
  });
}

/** Images of noise can only be learned by heart: gradients that point the right way do it in a few steps. */
export function learning(binding: TensorFlowBinding): Check {
  const losses = withSession(binding, { ...RECIPE, imageSizePx: 32, dropoutRate: 0, dropConnectRate: 0 }, (session, recipe) =>
    trainSteps(session, recipe, LEARNING_STEPS),
  );
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [first, last] = [mean(losses.slice(0, 5)), mean(losses.slice(-5))];
  return checkThat(last <= LEARNING_BOUND * first, {
    name: 'learning',
    measured: `mean loss ${first.toFixed(4)} over the first five steps, ${last.toFixed(4)} over the last five of ${losses.length}`,
    bound: `last ≤ ${LEARNING_BOUND} × first, ${IMAGES} synthetic images`,
    values: { firstLoss: first, lastLoss: last, ratio: last / first },
  });
}

function withSession<T>(binding: TensorFlowBinding, input: unknown, use: (session: TrainingSession, recipe: TrainingRecipe) => T): T {
  const recipe = parseTrainingRecipe(input);
  const session = TrainingSession.create({ binding, recipe, numClasses: CLASSES });
  try {
    return use(session, recipe);
  } finally {
    session.close();
  }
}

/** Trains from the seed's starting weights. → mean loss of each step */
function trainSteps(session: TrainingSession, recipe: TrainingRecipe, steps: number): number[] {
  const samples = noiseSamples(IMAGES, recipe.imageSizePx, CLASSES);
  const plan = new TrainingPlan(recipe, samples.length);
  session.start(initializeModel(session.spec, recipe.seed));
  return Array.from({ length: steps }, (_, step) => {
    const batch = assembleMicroBatch(plan.microBatches(step)[0]!, recipe.imageSizePx, (index) => samples[index]!);
    const sums = session.sumGradients([{ batch, dropoutSeed: plan.dropoutSeed(step, 0) }]);
    session.applySum(sums, { step, learningRate: plan.learningRate(step), statisticsMomentum: plan.statisticsMomentum(step) });
    return sums.lossSum / sums.weightSum;
  });
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
    return null;
  } catch (thrown) {
    return thrown;
  }
}
