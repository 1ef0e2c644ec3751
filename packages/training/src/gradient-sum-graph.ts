import type { TrainingRecipe } from '@roentgen/domain';
import type { EfficientNetSpec } from '@roentgen/efficientnet';
import { expectDType, ops } from '@roentgen/tensorflow';
import type { Graph, Node, Tensor, Variable } from '@roentgen/tensorflow';
import { globalNorm } from './optimizer/update.js';

/** Sums over some micro-batches of a step: vectors of P parameters and of B statistics. */
interface SumVariables {
  readonly gradient: Variable;
  readonly moments: Variable;
}

export interface GradientSumVariables {
  /** Where a micro-batch leaves its gradient, and where the sum of the step ends up. */
  readonly current: SumVariables;
  /** Partial sums to the left of the current one, the leftmost first. */
  readonly stashed: readonly SumVariables[];
}

/** Most partial sums that wait at a time while the given number of leaves is added in tree order: the bits of the last leaf's index. */
export function stashDepth(leaves: number): number {
  return 32 - Math.clz32(leaves - 1);
}

export function declareGradientSum(
  graph: Graph,
  spec: EfficientNetSpec,
  { globalBatchSize, microBatchSize }: Pick<TrainingRecipe, 'globalBatchSize' | 'microBatchSize'>,
): GradientSumVariables {
  const declare = (name: string): SumVariables => ({
    gradient: ops.variable(graph, `gradient_sum/${name}`, [spec.parameters.length]),
    moments: ops.variable(graph, `moment_sum/${name}`, [spec.statistics.length]),
  });
  const depth = stashDepth(globalBatchSize / microBatchSize);
  return { current: declare('current'), stashed: Array.from({ length: depth }, (_, index) => declare(`stashed_${index}`)) };
}

/** Gives the current sum computed values. */
export function assignSum(graph: Graph, { gradient, moments }: SumVariables, values: { gradient: Tensor; moments: Tensor }): Node[] {
  return [ops.assign(graph, gradient, values.gradient), ops.assign(graph, moments, values.moments)];
}

/** What can be done with a sum that stays on the device. Only `read` and `set` move vectors. */
export function addGradientSum(graph: Graph, { current, stashed }: GradientSumVariables) {
  return {
    read: addRead(graph, current),
    set: addSet(graph, current),
    check: addCheck(graph, current),
    /** Puts the current sum aside. Costs nothing: the two variables share memory until one changes. */
    stash: stashed.map((slot, index) => addMove(graph, `stash_${index}`, slot, readSum(graph, current))),
    /** current ← stashed + current */
    fold: stashed.map((slot, index) => {
      const [left, right] = [readSum(graph, slot), readSum(graph, current)];
      const sum = { gradient: ops.add(graph, left.gradient, right.gradient), moments: ops.add(graph, left.moments, right.moments) };
      return addMove(graph, `fold_${index}`, current, sum);
    }),
  };
}

export type GradientSumEndpoints = ReturnType<typeof addGradientSum>;

function readSum(graph: Graph, { gradient, moments }: SumVariables): { gradient: Tensor; moments: Tensor } {
  return { gradient: ops.read(graph, gradient), moments: ops.read(graph, moments) };
}

function addMove(graph: Graph, name: string, target: SumVariables, values: { gradient: Tensor; moments: Tensor }) {
  return graph.endpoint(name, {}, { done: done(graph, name, assignSum(graph, target, values)) });
}

function addRead(graph: Graph, current: SumVariables) {
  const { gradient, moments } = readSum(graph, current);
  const fetch = (tensor: Tensor, name: string) => expectDType(ops.identity(graph, tensor, { name: `read_sum/${name}` }), 'float32');
  return graph.endpoint('readSum', {}, { gradientSum: fetch(gradient, 'gradient_sum'), momentSum: fetch(moments, 'moment_sum') });
}

function addSet(graph: Graph, current: SumVariables) {
  const gradientSum = graph.placeholder('set_sum/gradient_sum', 'float32', current.gradient.shape);
  const momentSum = graph.placeholder('set_sum/moment_sum', 'float32', current.moments.shape);
  const copies = { gradient: ops.deepCopy(graph, gradientSum), moments: ops.deepCopy(graph, momentSum) };
  return graph.endpoint('setSum', { gradientSum, momentSum }, { done: done(graph, 'set_sum', assignSum(graph, current, copies)) });
}

/**
 * Norms of the mean gradient and of the mean moments; neither is finite where an element is not. The optimiser squares the gradient: an
 * element above 10¹⁹ is still a number, its square is none, and would never leave Adam's memory again. So squares are what is summed here.
 */
function addCheck(graph: Graph, current: SumVariables) {
  const weightSum = graph.placeholder('check_sum/weight_sum', 'float32', []);
  const momentCount = graph.placeholder('check_sum/moment_count', 'float32', []);
  const { gradient, moments } = readSum(graph, current);
  const norm = (sum: Tensor, count: Tensor, name: string) =>
    expectDType(ops.identity(graph, globalNorm(graph, ops.div(graph, sum, count)), { name: `check_sum/${name}` }), 'float32');
  const norms = { gradientNorm: norm(gradient, weightSum, 'gradient_norm'), momentNorm: norm(moments, momentCount, 'moment_norm') };
  return graph.endpoint('checkSum', { weightSum, momentCount }, norms);
}

function done(graph: Graph, name: string, controls: Node[]): Tensor<'float32'> {
  return expectDType(ops.identity(graph, graph.scalar(1), { name: `${name}/done`, controls }), 'float32');
}
