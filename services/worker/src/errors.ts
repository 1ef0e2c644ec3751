import { RoentgenError } from '@roentgen/domain';

/** The device that was asked for is not there. */
export class DeviceUnavailableError extends RoentgenError {
  readonly code = 'DEVICE_UNAVAILABLE';
}

/** A file that the work needs is not in the object store. */
export class ObjectMissingError extends RoentgenError {
  readonly code = 'OBJECT_MISSING';
}

/** The bytes of an object are not the ones that its SHA-256 names, or do not decode although they did when they were inspected. */
export class ObjectCorruptError extends RoentgenError {
  readonly code = 'OBJECT_CORRUPT';
}

/** The disk of this worker did not take, or give back, a file under way. Passes when somebody makes room there; another worker may have some. */
export class LocalDiskError extends RoentgenError {
  readonly code = 'LOCAL_DISK';
}

/** The dataset version and the run do not fit each other. */
export class DatasetMismatchError extends RoentgenError {
  readonly code = 'CONFIG_ERROR';
}

/** The images of some steps do not fit into the memory that the threads share. */
export class BatchTooLargeError extends RoentgenError {
  readonly code = 'CONFIG_ERROR';
}

/** A model that answers with NaN or infinity. */
export class NonFinitePredictionError extends RoentgenError {
  readonly code = 'NON_FINITE_PREDICTION';
}

/** The attempt belongs to another worker by now, or is asked to end: nothing more is read or written for it. */
export class AttemptEndedError extends RoentgenError {
  readonly code = 'ATTEMPT_ENDED';
}

/** An error of the other thread, with its code and details as they were there. */
export class ThreadError extends RoentgenError {
  constructor(
    readonly code: string,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message, details);
  }
}
