import type { TrainingRecipe } from '@roentgen/domain';
import type { TrainingCheckpoint } from './checkpoint.js';
import { CheckpointError } from './errors.js';
import { optimizerSlots, type TrainingState } from './optimizer/training-state.js';

/**
 * The state with which a run of `recipe` goes on from a checkpoint: the very vectors where the recipe is the checkpoint's own. A run that was forked may
 * average its weights where the checkpoint did not, which starts with the weights as they are, or no longer; with fp16 it searches the loss scale
 * anew where there is none.
 * @throws CheckpointError when network or optimiser are others
 */
export function stateFor(recipe: TrainingRecipe, { description, state }: TrainingCheckpoint): TrainingState {
  if (description.variant !== recipe.variant) {
    throw new CheckpointError(`it holds a ${description.variant}, and the run trains a ${recipe.variant}.`, {
      checkpoint: description.variant,
      recipe: recipe.variant,
    });
  }
  const [held, needed] = [Object.keys(state.slots), optimizerSlots(recipe)];
  if (held.join() !== needed.join()) {
    throw new CheckpointError(
      `it holds the memory of ${description.recipe.optimizer.kind} (${held.join(', ')}), ${recipe.optimizer.kind} has ${needed.join(', ')}.`,
      {
        held,
        needed,
      },
    );
  }
  return {
    ...state,
    ema: recipe.emaDecay === null ? null : (state.ema ?? state.weights),
    lossScaling: recipe.precision === 'fp16' ? state.lossScaling : null,
  };
}
