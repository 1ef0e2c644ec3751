import { RoentgenError } from '@roentgen/domain';

/** A classifier needs something to choose from. */
export class InvalidClassCountError extends RoentgenError {
  readonly code = 'INVALID_CLASS_COUNT';
}
