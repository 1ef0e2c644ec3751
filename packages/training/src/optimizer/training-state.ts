import type { OptimizerKind, TrainingRecipe } from '@roentgen/domain';
import type { LossScaling } from '../loss-scaling.js';

/** Everything that changes while training, as flat vectors: `statistics` in the layout of the statistics, all others in that of the parameters. */
export interface TrainingState {
  readonly weights: Float32Array;
  /** The optimiser's memory, one vector per name of `OPTIMIZER_SLOTS`. */
  readonly slots: Readonly<Record<string, Float32Array>>;
  /** Moving average of the weights; null where the recipe has no emaDecay. */
  readonly ema: Float32Array | null;
  /** Running mean and variance of batch norm. */
  readonly statistics: Float32Array;
  /** Null unless the recipe's precision is fp16. */
  readonly lossScaling: LossScaling | null;
}

/** What each optimiser remembers of every parameter. Names of checkpoint tensors are made of these: they never change. */
export const OPTIMIZER_SLOTS: Readonly<Record<OptimizerKind, readonly string[]>> = {
  /** Running mean of the gradient and of its square. */
  adam: ['m', 'v'],
  adamw: ['m', 'v'],
  sgd: ['momentum'],
};

export function optimizerSlots({ optimizer }: Pick<TrainingRecipe, 'optimizer'>): readonly string[] {
  return OPTIMIZER_SLOTS[optimizer.kind];
}

/** Empty memory: how every optimiser starts. */
export function emptySlots(recipe: Pick<TrainingRecipe, 'optimizer'>, length: number): Record<string, Float32Array> {
  return Object.fromEntries(optimizerSlots(recipe).map((slot) => [slot, new Float32Array(length)]));
}

const SLOT_PREFIX = 'optimizer/';

/** Whether a state vector is the optimiser's memory. */
export function isSlotName(name: string): boolean {
  return name.startsWith(SLOT_PREFIX);
}

/** Names of the variables that hold a state in the session, in the order in which a digest reads them. */
export function stateVectorNames(recipe: Pick<TrainingRecipe, 'optimizer' | 'emaDecay'>): string[] {
  const slots = optimizerSlots(recipe).map((slot) => SLOT_PREFIX + slot);
  return ['weights', ...slots, ...(recipe.emaDecay === null ? [] : ['ema']), 'statistics'];
}

/** The state's vectors by name. */
export function stateVectors({ weights, slots, ema, statistics }: TrainingState): Record<string, Float32Array> {
  const bySlot = Object.fromEntries(Object.entries(slots).map(([slot, vector]) => [SLOT_PREFIX + slot, vector]));
  return { weights, ...bySlot, ...(ema && { ema }), statistics };
}

/** The state with these vectors: the inverse of `stateVectors`. @throws RangeError when one is missing */
export function stateOf(
  recipe: Pick<TrainingRecipe, 'optimizer' | 'emaDecay'>,
  vectors: Readonly<Record<string, Float32Array>>,
  lossScaling: LossScaling | null,
): TrainingState {
  const vector = (name: string): Float32Array => {
    const found = vectors[name];
    if (!found) throw new RangeError(`the state has no vector "${name}"; it has ${Object.keys(vectors).join(', ')}.`);
    return found;
  };
  return {
    weights: vector('weights'),
    slots: Object.fromEntries(optimizerSlots(recipe).map((slot) => [slot, vector(SLOT_PREFIX + slot)])),
    ema: recipe.emaDecay === null ? null : vector('ema'),
    statistics: vector('statistics'),
    lossScaling,
  };
}
