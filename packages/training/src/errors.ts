import { RoentgenError } from '@roentgen/domain';

/** A micro-batch or an evaluation batch is not what the model takes. */
export class InvalidBatchError extends RoentgenError {
  readonly code = 'INVALID_BATCH';
}

/** Loss, gradient or weights became infinite or not a number. Nothing of it is in a checkpoint. */
export class NonFiniteLossError extends RoentgenError {
  readonly code = 'NON_FINITE_LOSS';
}

/** The bytes are no checkpoint of this program, damaged, or of another network. */
export class CheckpointError extends RoentgenError {
  readonly code = 'INVALID_CHECKPOINT';
}
