import { initializeModel } from '@roentgen/efficientnet';
import type { TrainingSession } from '@roentgen/training';
import { startFrom, type StoredWeights } from '@roentgen/weights';
import type { AttemptWork } from '../rpc.js';

/**
 * Sets the state before the first step: fresh weights as a function of the seed, or weights and running statistics of a weight set. Where that set's
 * classifier is for another number of classes, or it has none, the fresh classifier stays.
 * @returns what it starts from, in words; null for fresh weights
 * @throws WeightsFileError when the set is of another variant
 */
export function startTraining(
  session: Pick<TrainingSession, 'spec' | 'start'>,
  { recipe, dataset, initialWeights }: Pick<AttemptWork, 'recipe' | 'dataset' | 'initialWeights'>,
  weights: StoredWeights | null,
): string | null {
  const fresh = initializeModel(session.spec, recipe.seed);
  if (weights === null) {
    session.start(fresh);
    return null;
  }
  const { vectors, freshHead } = startFrom(weights, session.spec, fresh);
  session.start(vectors);
  const { library, classes } = weights.description;
  const head = freshHead
    ? `the classifier starts fresh for ${dataset.classes.length} classes (theirs is for ${classes ?? 'none'})`
    : `with their classifier for ${dataset.classes.length} classes`;
  return `starts from weight set "${initialWeights?.name ?? '?'}" (${recipe.variant} of ${library}); ${head}.`;
}
