import { RoentgenError } from '@roentgen/domain';

/** A part of the stack cannot be started or ended by itself; the message ends with the last lines of its log. */
export class StackPartError extends RoentgenError {
  readonly code = 'STACK_PART_FAILED';
}

/** Another live process runs a stack on the same data folder. */
export class StackInUseError extends RoentgenError {
  readonly code = 'STACK_IN_USE';
}

/** A program of the stack is not on this machine. */
export class StackBinaryMissingError extends RoentgenError {
  readonly code = 'STACK_BINARY_MISSING';
}
