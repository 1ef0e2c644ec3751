import { InvalidInputError, RoentgenError } from '@roentgen/domain';
import type { InputIssue } from '@roentgen/domain';

/** The recipe breaks rules; `issues` lists all of them. */
export class InvalidRecipeError extends InvalidInputError {
  override readonly code = 'INVALID_RECIPE';

  constructor(issues: readonly InputIssue[]) {
    super(`the recipe is invalid: ${issues.map(({ message }) => message).join(' ')}`, issues);
  }
}

/** A micro-batch or an evaluation batch is not what the model takes. */
export class InvalidBatchError extends RoentgenError {
  readonly code = 'INVALID_BATCH';
}

/** Loss or gradient became infinite or not a number. The weights are those of the last good step. */
export class NonFiniteLossError extends RoentgenError {
  readonly code = 'NON_FINITE_LOSS';
}

/** The bytes are no checkpoint of this program, damaged, or of another network. */
export class CheckpointError extends RoentgenError {
  readonly code = 'INVALID_CHECKPOINT';
}
