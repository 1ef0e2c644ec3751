import { RoentgenError } from '@roentgen/domain';

/** No network of the family has this name. */
export class UnknownVariantError extends RoentgenError {
  readonly code = 'UNKNOWN_VARIANT';
}

/** A classifier needs something to choose from. */
export class InvalidClassCountError extends RoentgenError {
  readonly code = 'INVALID_CLASS_COUNT';
}
