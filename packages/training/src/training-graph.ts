import type { TrainingRecipe } from '@roentgen/domain';
import { forward } from '@roentgen/efficientnet';
import type { DropRates, EfficientNetSpec } from '@roentgen/efficientnet';
import { Graph, Layers, expectDType, ops, pack, unpack } from '@roentgen/tensorflow';
import type { CompiledGraph, Tensor, Variable } from '@roentgen/tensorflow';
import { normalizeImages } from './preprocessing.js';

export interface TrainingGraphOptions
  extends DropRates, Pick<TrainingRecipe, 'imageSizePx' | 'microBatchSize' | 'batchNorm' | 'labelSmoothing' | 'optimizer'> {
  readonly spec: EfficientNetSpec;
  readonly evaluationBatchSize: number;
}

/** Everything that training asks of the accelerator, as one graph with five ways in. */
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
  const variables = {
    ...declareModel(graph, spec),
    adamM: ops.variable(graph, 'adam_m', [spec.parameters.length]),
    adamV: ops.variable(graph, 'adam_v', [spec.parameters.length]),
  };
  const endpoints = {
    setState: addSetState(graph, variables),
    getState: addGetState(graph, variables),
    gradients: addGradients(graph, variables, options),
    apply: addApply(graph, variables, options),
    predict: addPredict(graph, variables, { spec, imageSizePx, batchSize: evaluationBatchSize }),
  };
  return { compiled: graph.compile(), ...endpoints };
}

function declareModel(graph: Graph, spec: EfficientNetSpec): ModelVariables {
  return {
    weights: ops.variable(graph, 'weights', [spec.parameters.length]),
    statistics: ops.variable(graph, 'statistics', [spec.statistics.length]),
  };
}

/** Gives every variable a copy of what is fed. → done: 1 */
function addSetState<N extends string>(graph: Graph, variables: Readonly<Record<N, Variable>>) {
  const names = Object.keys(variables) as N[];
  const feeds = Object.fromEntries(names.map((name) => [name, graph.placeholder(`set_state/${name}`, 'float32', variables[name].shape)]));
  const assignments = names.map((name) => ops.assign(graph, variables[name], ops.deepCopy(graph, feeds[name]!)));
  const done = ops.identity(graph, graph.scalar(1), { name: 'set_state/done', controls: assignments });
  return graph.endpoint('setState', feeds as Record<N, Tensor<'float32'>>, { done: expectDType(done, 'float32') });
}

/** → every variable's value */
function addGetState<N extends string>(graph: Graph, variables: Readonly<Record<N, Variable>>) {
  const names = Object.keys(variables) as N[];
  const fetches = Object.fromEntries(names.map((name) => [name, fetch(graph, ops.read(graph, variables[name]), `get_state/${name}`)]));
  return graph.endpoint('getState', {}, fetches as Record<N, Tensor<'float32'>>);
}

/** The gradient of one micro-batch. Assigns nothing: a step that is computed again must not move the running statistics twice. */
function addGradients(graph: Graph, variables: ModelVariables, options: TrainingGraphOptions) {
  const { spec, imageSizePx, microBatchSize: n, labelSmoothing, batchNorm } = options;
  const images = graph.placeholder('gradients/images', 'uint8', [n, imageSizePx, imageSizePx, 3]);
  const labels = graph.placeholder('gradients/labels', 'int32', [n]);
  const sampleWeights = graph.placeholder('gradients/sample_weights', 'float32', [n]);
  const dropoutSeed = graph.placeholder('gradients/dropout_seed', 'int32', [2]);
  const parameters = unpack(graph, ops.read(graph, variables.weights), spec.parameters);
  const statistics = unpack(graph, ops.read(graph, variables.statistics), spec.statistics);
  const { conventions } = spec;
  const nn = new Layers({ graph, parameters, statistics, batchNorm, conventions, dropoutSeed });

  const logits = forward(nn, spec, normalizeImages(graph, images, conventions.normalization), options);
  const lossSum = nn.weightedCrossEntropySum(logits, labels, sampleWeights, labelSmoothing);
  const gradients = nn.tape.gradients(lossSum, [...parameters.values()]);

  const gradientByName = new Map([...parameters.keys()].map((name, index) => [name, gradients[index]!]));
  const moments = batchNorm === 'batch' ? pack(graph, nn.batchMoments, spec.statistics) : ops.fill(graph, spec.statistics.length, 0);
  const isCorrect = ops.cast(graph, ops.equal(graph, ops.argMax(graph, logits), labels), 'float32');
  const isCounted = ops.cast(graph, ops.greater(graph, sampleWeights, graph.scalar(0)), 'float32');
  return graph.endpoint(
    'gradients',
    { images, labels, sampleWeights, dropoutSeed },
    {
      lossSum: fetch(graph, lossSum, 'gradients/loss_sum'),
      weightSum: fetch(graph, ops.sum(graph, sampleWeights, [0]), 'gradients/weight_sum'),
      correctSum: fetch(graph, ops.sum(graph, ops.mul(graph, isCorrect, isCounted), [0]), 'gradients/correct_sum'),
      sampleCount: fetch(graph, ops.sum(graph, isCounted, [0]), 'gradients/sample_count'),
      gradientSum: fetch(graph, pack(graph, gradientByName, spec.parameters), 'gradients/gradient_sum'),
      momentSum: fetch(graph, moments, 'gradients/moment_sum'),
    },
  );
}

type OptimizerVariables = ModelVariables & { readonly adamM: Variable; readonly adamV: Variable };

/** One update of weights and running statistics from the sums over a step's micro-batches; the divisions come last. */
function addApply(graph: Graph, variables: OptimizerVariables, { spec, batchNorm, optimizer }: TrainingGraphOptions) {
  const scalar = (name: string) => graph.placeholder(`apply/${name}`, 'float32', []);
  const gradientSum = graph.placeholder('apply/gradient_sum', 'float32', [spec.parameters.length]);
  const momentSum = graph.placeholder('apply/moment_sum', 'float32', [spec.statistics.length]);
  const [weightSum, momentCount, statisticsMomentum] = [scalar('weight_sum'), scalar('moment_count'), scalar('statistics_momentum')];
  const [learningRate, beta1Power, beta2Power] = [scalar('learning_rate'), scalar('beta1_power'), scalar('beta2_power')];

  const gradient = ops.div(graph, gradientSum, weightSum);
  const update = ops.applyAdam(graph, variables.weights, variables.adamM, variables.adamV, {
    beta1Power,
    beta2Power,
    learningRate,
    beta1: graph.scalar(optimizer.beta1),
    beta2: graph.scalar(optimizer.beta2),
    epsilon: graph.scalar(optimizer.epsilon),
    gradient,
  });
  const kept = ops.mul(graph, ops.read(graph, variables.statistics), statisticsMomentum);
  const learned = ops.mul(graph, ops.div(graph, momentSum, momentCount), ops.sub(graph, graph.scalar(1), statisticsMomentum));
  const controls = batchNorm === 'batch' ? [update, ops.assign(graph, variables.statistics, ops.add(graph, kept, learned))] : [update];

  const norm = ops.sqrt(graph, ops.mul(graph, graph.scalar(2), ops.halfSquaredNorm(graph, gradient)));
  return graph.endpoint(
    'apply',
    { gradientSum, momentSum, weightSum, momentCount, statisticsMomentum, learningRate, beta1Power, beta2Power },
    { gradientNorm: expectDType(ops.identity(graph, norm, { name: 'apply/gradient_norm', controls }), 'float32') },
  );
}

interface PredictionGraphOptions {
  readonly spec: EfficientNetSpec;
  readonly imageSizePx: number;
  readonly batchSize: number;
}

/** Logits and probabilities with the running statistics, without dropout. */
function addPredict(graph: Graph, variables: ModelVariables, { spec, imageSizePx, batchSize }: PredictionGraphOptions) {
  const images = graph.placeholder('predict/images', 'uint8', [batchSize, imageSizePx, imageSizePx, 3]);
  const nn = new Layers({
    graph,
    parameters: unpack(graph, ops.read(graph, variables.weights), spec.parameters),
    statistics: unpack(graph, ops.read(graph, variables.statistics), spec.statistics),
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
  const endpoints = { setState: addSetState(graph, { ...variables }), predict: addPredict(graph, variables, options) };
  const compiled: CompiledGraph = graph.compile();
  return { compiled, ...endpoints };
}

function fetch(graph: Graph, tensor: Tensor, name: string): Tensor<'float32'> {
  return expectDType(ops.identity(graph, tensor, { name }), 'float32');
}
