import type { Precision, TrainingRecipe } from '@roentgen/domain';
import { forward } from '@roentgen/efficientnet';
import type { DropRates, EfficientNetSpec, FinishedNetwork } from '@roentgen/efficientnet';
import { ANY_BATCH, Graph, Layers, expectDType, ops, pack, unpack, viewEntry } from '@roentgen/tensorflow';
import type { CompiledGraph, ComputeDType, Node, StateLayout, Tensor, Variable } from '@roentgen/tensorflow';
import { addAugmentation } from './augmentation/graph.js';
import { addGradientSum, assignSum, declareGradientSum } from './gradient-sum-graph.js';
import type { GradientSumVariables } from './gradient-sum-graph.js';
import { addTrainableMask, maskNames } from './optimizer/masks.js';
import { isSlotName, optimizerSlots, stateVectorNames } from './optimizer/training-state.js';
import { addEmaUpdate, addOptimizerUpdate, clipByNorm, globalNorm } from './optimizer/update.js';
import { normalizeImages } from './preprocessing.js';

export interface TrainingGraphOptions
  extends
    DropRates,
    Pick<
      TrainingRecipe,
      | 'imageSizePx'
      | 'globalBatchSize'
      | 'microBatchSize'
      | 'augmentation'
      | 'batchNorm'
      | 'labelSmoothing'
      | 'optimizer'
      | 'clipNorm'
      | 'emaDecay'
      | 'freeze'
      | 'layerDecay'
      | 'precision'
      | 'recompute'
    > {
  readonly spec: EfficientNetSpec;
  readonly evaluationBatchSize: number;
}

const COMPUTE_TYPES: Readonly<Record<Precision, ComputeDType>> = { fp32: 'float32', bf16: 'bfloat16', fp16: 'float16' };

/** Everything that training asks of the accelerator, as one graph with some ways in. */
export type TrainingGraph = ReturnType<typeof buildTrainingGraph>;

/** The model's two flat vectors in the session: all that prediction needs. */
interface ModelVariables {
  readonly weights: Variable;
  readonly statistics: Variable;
}

/** Vectors P = spec.parameters.length and B = spec.statistics.length; n = microBatchSize, s = imageSizePx, k = classes. */
export function buildTrainingGraph(options: TrainingGraphOptions) {
  const { spec, imageSizePx, evaluationBatchSize } = options;
  const graph = new Graph();
  const variables = declareTraining(graph, options);
  const { model, state, masks, sum } = variables;
  const endpoints = {
    setState: addSetState(graph, state),
    getState: addGetState(graph, state),
    start: addStart(graph, variables),
    emptyOptimizer: addEmptyOptimizer(graph, state),
    /** Once after loading; null where the recipe needs no mask. */
    setMasks: Object.keys(masks).length > 0 ? addSetState(graph, masks, 'setMasks', 'set_masks') : null,
    gradients: addGradients(graph, variables, options),
    sum: addGradientSum(graph, sum),
    apply: addApply(graph, variables, options),
    // The moving average is what is evaluated and exported; training goes on with the weights themselves.
    predict: addPredict(graph, readModel(graph, { ...model, weights: state['ema'] ?? model.weights }, spec), {
      spec,
      imageSizePx,
      batchSize: evaluationBatchSize,
    }),
  };
  return { compiled: graph.compile(), ...endpoints };
}

interface TrainingVariables {
  readonly model: ModelVariables;
  /** All that a checkpoint holds, by the names of `stateVectorNames`. */
  readonly state: Readonly<Record<string, Variable>>;
  /** Constant vectors that are too big to travel in the graph. */
  readonly masks: Readonly<Record<string, Variable>>;
  /** Of the step that is being made; part of no checkpoint. */
  readonly sum: GradientSumVariables;
}

function declareTraining(graph: Graph, options: TrainingGraphOptions): TrainingVariables {
  const model = declareModel(graph, options.spec);
  const declared: Readonly<Record<string, Variable>> = { ...model };
  const declare = (name: string) => declared[name] ?? ops.variable(graph, name, [options.spec.parameters.length]);
  const byName = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, declare(name)]));
  return {
    model,
    state: byName(stateVectorNames(options)),
    masks: byName(maskNames(options)),
    sum: declareGradientSum(graph, options.spec, options),
  };
}

function declareModel(graph: Graph, spec: EfficientNetSpec): ModelVariables {
  return {
    weights: ops.variable(graph, 'weights', [spec.parameters.length]),
    statistics: ops.variable(graph, 'statistics', [spec.statistics.length]),
  };
}

/** Gives every variable a copy of what is fed. → done: 1 */
function addSetState<N extends string>(graph: Graph, variables: Readonly<Record<N, Variable>>, endpoint = 'setState', scope = 'set_state') {
  const names = Object.keys(variables) as N[];
  const feeds = Object.fromEntries(names.map((name) => [name, graph.placeholder(`${scope}/${name}`, 'float32', variables[name].shape)]));
  const assignments = names.map((name) => ops.assign(graph, variables[name], ops.deepCopy(graph, feeds[name]!)));
  const done = ops.identity(graph, graph.scalar(1), { name: `${scope}/done`, controls: assignments });
  return graph.endpoint(endpoint, feeds as Record<N, Tensor<'float32'>>, { done: expectDType(done, 'float32') });
}

/** Where training starts: a model, its copy as moving average, and an empty optimiser, which takes no vectors of zeros to say. → done: 1 */
function addStart(graph: Graph, { model, state }: TrainingVariables) {
  const weights = graph.placeholder('start/weights', 'float32', model.weights.shape);
  const statistics = graph.placeholder('start/statistics', 'float32', model.statistics.shape);
  const controls = [
    ops.assign(graph, model.weights, ops.deepCopy(graph, weights)),
    ops.assign(graph, model.statistics, ops.deepCopy(graph, statistics)),
    ...(state['ema'] ? [ops.assign(graph, state['ema'], ops.deepCopy(graph, weights))] : []),
    ...clearSlots(graph, state),
  ];
  const done = ops.identity(graph, graph.scalar(1), { name: 'start/done', controls });
  return graph.endpoint('start', { weights, statistics }, { done: expectDType(done, 'float32') });
}

function addEmptyOptimizer(graph: Graph, state: TrainingVariables['state']) {
  const done = ops.identity(graph, graph.scalar(1), { name: 'empty_optimizer/done', controls: clearSlots(graph, state) });
  return graph.endpoint('emptyOptimizer', {}, { done: expectDType(done, 'float32') });
}

function clearSlots(graph: Graph, state: TrainingVariables['state']): Node[] {
  const slots = Object.entries(state).filter(([name]) => isSlotName(name));
  return slots.map(([, slot]) => ops.assign(graph, slot, ops.zeros(graph, slot.shape[0]!)));
}

/** → every variable's value */
function addGetState<N extends string>(graph: Graph, variables: Readonly<Record<N, Variable>>) {
  const names = Object.keys(variables) as N[];
  const fetches = Object.fromEntries(names.map((name) => [name, fetch(graph, ops.read(graph, variables[name]), `get_state/${name}`)]));
  return graph.endpoint('getState', {}, fetches as Record<N, Tensor<'float32'>>);
}

/**
 * The gradient of one micro-batch, which becomes the current sum. Assigns nothing else: a step that is computed again must not move the
 * running statistics twice.
 */
function addGradients(graph: Graph, { model, sum }: TrainingVariables, options: TrainingGraphOptions) {
  const { spec, imageSizePx, microBatchSize: n, labelSmoothing, batchNorm, precision, recompute } = options;
  const images = graph.placeholder('gradients/images', 'uint8', [n, imageSizePx, imageSizePx, 3]);
  const labels = graph.placeholder('gradients/labels', 'int32', [n]);
  const sampleWeights = graph.placeholder('gradients/sample_weights', 'float32', [n]);
  const dropoutSeed = graph.placeholder('gradients/dropout_seed', 'int32', [2]);
  const lossScale = precision === 'fp16' ? graph.placeholder('gradients/loss_scale', 'float32', []) : null;
  const parameters = unpack(graph, ops.read(graph, model.weights), spec.parameters);
  const statistics = unpack(graph, ops.read(graph, model.statistics), spec.statistics);
  const { conventions } = spec;
  const computeType = COMPUTE_TYPES[precision];
  const nn = new Layers({ graph, parameters, statistics, batchNorm, conventions, dropoutSeed, computeType, recompute });

  const augmented = addAugmentation(graph, images, options.augmentation);
  const logits = forward(nn, spec, normalizeImages(graph, augmented.images, conventions.normalization), options);
  const lossSum = nn.weightedCrossEntropySum(logits, labels, sampleWeights, labelSmoothing);
  const gradients = nn.tape.gradients(lossSum, [...parameters.values()], lossScale ?? graph.scalar(1));

  const gradientByName = new Map([...parameters.keys()].map((name, index) => [name, gradients[index]!]));
  const scaledSum = pack(graph, gradientByName, spec.parameters);
  const moments = batchNorm === 'batch' ? pack(graph, nn.batchMoments, spec.statistics) : ops.zeros(graph, spec.statistics.length);
  const gradient = lossScale ? ops.div(graph, scaledSum, lossScale) : scaledSum;
  const assigned = assignSum(graph, sum.current, { gradient, moments });
  const isCorrect = ops.cast(graph, ops.equal(graph, ops.argMax(graph, logits), labels), 'float32');
  const isCounted = ops.cast(graph, ops.greater(graph, sampleWeights, graph.scalar(0)), 'float32');
  return graph.endpoint(
    'gradients',
    { images, labels, sampleWeights, dropoutSeed, ...augmented.feeds, ...(lossScale && { lossScale }) },
    {
      lossSum: fetch(graph, lossSum, 'gradients/loss_sum', assigned),
      weightSum: fetch(graph, ops.sum(graph, sampleWeights, [0]), 'gradients/weight_sum'),
      correctSum: fetch(graph, ops.sum(graph, ops.mul(graph, isCorrect, isCounted), [0]), 'gradients/correct_sum'),
      sampleCount: fetch(graph, ops.sum(graph, isCounted, [0]), 'gradients/sample_count'),
    },
  );
}

/** One update of weights and running statistics from the current sums, those of a whole step; the divisions come last. */
function addApply(graph: Graph, { model, state, masks, sum }: TrainingVariables, options: TrainingGraphOptions) {
  const { batchNorm, optimizer, clipNorm } = options;
  const scalar = (name: string) => graph.placeholder(`apply/${name}`, 'float32', []);
  const [weightSum, momentCount, statisticsMomentum] = [scalar('weight_sum'), scalar('moment_count'), scalar('statistics_momentum')];
  const optional: Record<string, Tensor<'float32'>> = {};

  const mean = ops.div(graph, ops.read(graph, sum.current.gradient), weightSum);
  const { trainable, feeds } = addTrainableMask(graph, masks);
  const trained = trainable ? ops.mul(graph, mean, trainable) : mean;
  const norm = globalNorm(graph, trained);
  const gradient = clipNorm === null ? trained : clipByNorm(graph, trained, norm, clipNorm);
  const slots = Object.fromEntries(optimizerSlots(options).map((slot) => [slot, state[`optimizer/${slot}`]!]));
  const decays = masks['masks/weight_decay'] ? ops.read(graph, masks['masks/weight_decay']) : null;
  const decayMask = decays && trainable ? ops.mul(graph, decays, trainable) : decays;
  const scales = masks['masks/learning_rate'] ?? null;
  const update = addOptimizerUpdate(graph, optimizer, { weights: model.weights, slots, gradient, decayMask, scales });
  const controls = [update.done];
  if (state['ema']) {
    const ema = addEmaUpdate(graph, state['ema'], model.weights, update.done);
    optional['emaDecay'] = ema.feed;
    controls.push(ema.done);
  }
  if (batchNorm === 'batch') {
    const kept = ops.mul(graph, ops.read(graph, model.statistics), statisticsMomentum);
    const learned = ops.mul(
      graph,
      ops.div(graph, ops.read(graph, sum.current.moments), momentCount),
      ops.sub(graph, graph.scalar(1), statisticsMomentum),
    );
    controls.push(ops.assign(graph, model.statistics, ops.add(graph, kept, learned)));
  }
  return graph.endpoint(
    'apply',
    { weightSum, momentCount, statisticsMomentum, ...update.feeds, ...feeds, ...optional },
    /** Before clipping; of the parameters that learn in this step. */
    { gradientNorm: expectDType(ops.identity(graph, norm, { name: 'apply/gradient_norm', controls }), 'float32') },
  );
}

/** The model's named tensors, wherever they come from. */
interface ModelTensors {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly statistics: ReadonlyMap<string, Tensor>;
}

interface PredictionGraphOptions {
  readonly spec: EfficientNetSpec;
  readonly imageSizePx: number;
  readonly batchSize: number;
}

function readModel(graph: Graph, variables: ModelVariables, spec: EfficientNetSpec): ModelTensors {
  return {
    parameters: unpack(graph, ops.read(graph, variables.weights), spec.parameters),
    statistics: unpack(graph, ops.read(graph, variables.statistics), spec.statistics),
  };
}

/** Logits and probabilities with the running statistics, without dropout. */
function addPredict(graph: Graph, model: ModelTensors, { spec, imageSizePx, batchSize }: PredictionGraphOptions) {
  const images = graph.placeholder('predict/images', 'uint8', [batchSize, imageSizePx, imageSizePx, 3]);
  const nn = new Layers({
    graph,
    ...model,
    batchNorm: 'frozen',
    conventions: spec.conventions,
    dropoutSeed: null,
  });
  const logits = forward(nn, spec, normalizeImages(graph, images, spec.conventions.normalization), { dropoutRate: 0, dropConnectRate: 0 });
  return graph.endpoint(
    'predict',
    { images },
    { logits: fetch(graph, logits, 'predict/logits'), probabilities: fetch(graph, ops.softmax(graph, logits), 'predict/probabilities') },
  );
}

/** A graph that only predicts: no gradients, no optimiser, a third of the memory. */
export function buildPredictionGraph(options: PredictionGraphOptions) {
  const graph = new Graph();
  const variables = declareModel(graph, options.spec);
  const endpoints = {
    setState: addSetState(graph, { ...variables }),
    predict: addPredict(graph, readModel(graph, variables, options.spec), options),
  };
  const compiled: CompiledGraph = graph.compile();
  return { compiled, ...endpoints };
}

/** The same graph with the weights in it as constants, for any number of images at a time, to be called by other programs. */
export function buildFrozenGraph({ spec, imageSizePx, weights, statistics }: FinishedNetwork): CompiledGraph {
  const graph = new Graph();
  const constants = (layout: StateLayout, vector: Float32Array) =>
    new Map(
      layout.entries.map((entry) => [entry.name, graph.constant('float32', entry.shape, viewEntry(vector, entry), { name: entry.name })]),
    );
  const model = { parameters: constants(spec.parameters, weights), statistics: constants(spec.statistics, statistics) };
  return graph.compile(addPredict(graph, model, { spec, imageSizePx, batchSize: ANY_BATCH }));
}

function fetch(graph: Graph, tensor: Tensor, name: string, controls: Node[] = []): Tensor<'float32'> {
  return expectDType(ops.identity(graph, tensor, { name, controls }), 'float32');
}
