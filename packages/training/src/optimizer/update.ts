import type { OptimizerRecipe } from '@roentgen/domain';
import { ops } from '@roentgen/tensorflow';
import type { Graph, Node, Tensor, Variable } from '@roentgen/tensorflow';

export interface OptimizerUpdateInputs {
  readonly weights: Variable;
  /** By the names of `OPTIMIZER_SLOTS`. */
  readonly slots: Readonly<Record<string, Variable>>;
  /** Averaged, clipped and masked; in the layout of the weights. */
  readonly gradient: Tensor;
  /** What weight decay applies to, 0 or 1 each; null where there is none. */
  readonly decayMask: Tensor | null;
  /** Share of the learning rate that each parameter gets; null: all of it. */
  readonly scales: Variable | null;
}

export interface OptimizerUpdate {
  /** Scalars that change from step to step: what `stepScalars` gives. */
  readonly feeds: Readonly<Record<string, Tensor<'float32'>>>;
  /** Runs when weights and slots have their new values. */
  readonly done: Node;
}

/** One update of the weights and of the optimiser's memory. */
export function addOptimizerUpdate(graph: Graph, optimizer: OptimizerRecipe, inputs: OptimizerUpdateInputs): OptimizerUpdate {
  const learningRate = graph.placeholder('apply/learning_rate', 'float32', []);
  const { weights } = inputs;
  const scales = inputs.scales ? ops.read(graph, inputs.scales) : null;
  const decayed = addWeightDecay(graph, optimizer, inputs, scales ? ops.mul(graph, scales, learningRate) : learningRate);
  if (!scales) return addRule(graph, optimizer, inputs, learningRate, decayed);
  // TensorFlow's kernels know one learning rate for all: they update a vector of zeros, of which each weight then takes its share.
  const step = ops.variable(graph, 'scratch/step', weights.shape);
  const cleared = ops.assign(graph, step, ops.zeros(graph, weights.shape[0] ?? 0));
  const rule = addRule(graph, optimizer, { ...inputs, weights: step }, learningRate, [cleared]);
  const taken = ops.mul(graph, ops.read(graph, step, { controls: [rule.done] }), scales);
  const old = ops.read(graph, weights, { controls: decayed });
  return { feeds: rule.feeds, done: ops.assign(graph, weights, ops.add(graph, old, taken)) };
}

/** The optimiser's own update of `weights`, after `controls`. */
function addRule(
  graph: Graph,
  optimizer: OptimizerRecipe,
  inputs: OptimizerUpdateInputs,
  learningRate: Tensor<'float32'>,
  controls: readonly Node[],
): OptimizerUpdate {
  switch (optimizer.kind) {
    case 'adam':
    case 'adamw':
      return addAdam(graph, optimizer, inputs, learningRate, controls);
    case 'sgd':
      return addMomentum(graph, optimizer, inputs, learningRate, controls);
  }
}

/** w ← w − η·λ·w for the weights that decay. rate: η, for all or of each. → what comes after has to wait for */
function addWeightDecay(graph: Graph, optimizer: OptimizerRecipe, { weights, decayMask }: OptimizerUpdateInputs, rate: Tensor): Node[] {
  if (optimizer.kind !== 'adamw' || !decayMask) return [];
  const share = ops.mul(graph, decayMask, ops.mul(graph, rate, graph.scalar(optimizer.weightDecay)));
  const old = ops.read(graph, weights);
  return [ops.assign(graph, weights, ops.sub(graph, old, ops.mul(graph, share, old)))];
}

/** Values of the update's feeds. `updates`: how many the optimiser's memory has seen before this one. */
export function stepScalars(optimizer: OptimizerRecipe, learningRate: number, updates: number): Record<string, number> {
  if (optimizer.kind === 'sgd') return { learningRate };
  const { beta1, beta2 } = optimizer;
  return { learningRate, beta1Power: power(beta1, updates + 1), beta2Power: power(beta2, updates + 1) };
}

/**
 * Adam (Kingma & Ba 2015, algorithm 1). `adam` adds ε to √v before the correction of the bias, as Keras does (the paper's §2, last
 * paragraph); `adamw` adds it after, as Loshchilov & Hutter and PyTorch do, to weights that `addWeightDecay` has shrunk:
 * w ← w − η·λ·w − η·m̂ / (√v̂ + ε) (Loshchilov & Hutter 2019, algorithm 2, with η in both terms like PyTorch).
 */
function addAdam(
  graph: Graph,
  optimizer: Extract<OptimizerRecipe, { kind: 'adam' | 'adamw' }>,
  { weights, slots, gradient }: OptimizerUpdateInputs,
  learningRate: Tensor<'float32'>,
  controls: readonly Node[],
): OptimizerUpdate {
  const beta1Power = graph.placeholder('apply/beta1_power', 'float32', []);
  const beta2Power = graph.placeholder('apply/beta2_power', 'float32', []);
  let epsilon: Tensor = graph.scalar(optimizer.epsilon);
  if (optimizer.kind === 'adamw') {
    // η·√(1 − β₂ᵗ)·m / (√v + ε̂) is the kernel's update; with ε̂ = ε·√(1 − β₂ᵗ) it is η·m / (√v̂ + ε).
    epsilon = ops.mul(graph, epsilon, ops.sqrt(graph, ops.sub(graph, graph.scalar(1), beta2Power)));
  }
  const [beta1, beta2] = [graph.scalar(optimizer.beta1), graph.scalar(optimizer.beta2)];
  const rates = { beta1Power, beta2Power, learningRate, beta1, beta2, epsilon };
  const done = ops.applyAdam(graph, weights, slot(slots, 'm'), slot(slots, 'v'), { ...rates, gradient }, { controls });
  return { feeds: { learningRate, beta1Power, beta2Power }, done };
}

function addMomentum(
  graph: Graph,
  { momentum, nesterov }: Extract<OptimizerRecipe, { kind: 'sgd' }>,
  { weights, slots, gradient }: OptimizerUpdateInputs,
  learningRate: Tensor<'float32'>,
  controls: readonly Node[],
): OptimizerUpdate {
  const inputs = { learningRate, momentum: graph.scalar(momentum), gradient, nesterov };
  return { feeds: { learningRate }, done: ops.applyMomentum(graph, weights, slot(slots, 'momentum'), inputs, { controls }) };
}

function slot(slots: Readonly<Record<string, Variable>>, name: string): Variable {
  const found = slots[name];
  if (!found) throw new RangeError(`the optimiser has no slot "${name}"; it has ${Object.keys(slots).join(', ')}.`);
  return found;
}

/** √Σ x². → scalar */
export function globalNorm(graph: Graph, x: Tensor): Tensor {
  return ops.sqrt(graph, ops.mul(graph, graph.scalar(2), ops.halfSquaredNorm(graph, x)));
}

/** x · clipNorm / max(norm, clipNorm) (Pascanu et al. 2013, algorithm 1): a vector that is short enough keeps its bits. */
export function clipByNorm(graph: Graph, x: Tensor, norm: Tensor, clipNorm: number): Tensor {
  const limit = graph.scalar(clipNorm);
  return ops.mul(graph, x, ops.div(graph, limit, ops.maximum(graph, norm, limit)));
}

/** ema ← d · ema + (1 − d) · w, with the weights that `after` has left. */
export function addEmaUpdate(graph: Graph, ema: Variable, weights: Variable, after: Node): { feed: Tensor<'float32'>; done: Node } {
  const decay = graph.placeholder('apply/ema_decay', 'float32', []);
  const kept = ops.mul(graph, ops.read(graph, ema), decay);
  const added = ops.mul(graph, ops.read(graph, weights, { controls: [after] }), ops.sub(graph, graph.scalar(1), decay));
  return { feed: decay, done: ops.assign(graph, ema, ops.add(graph, kept, added)) };
}

/**
 * Decay of the moving average in a step (0-based): rises to emaDecay as in TensorFlow's ExponentialMovingAverage with num_updates, so
 * that a short run does not predict with the weights that it started from.
 */
export function rampedDecay(emaDecay: number, step: number): number {
  return Math.min(emaDecay, (1 + step) / (10 + step));
}

/** baseⁿ by squaring: only multiplications, so the same bits on every machine, and no state that a checkpoint would have to carry. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let square = base, rest = exponent; rest > 0; rest = Math.floor(rest / 2), square *= square) if (rest % 2 === 1) result *= square;
  return result;
}
