/**
 * Base of every error that this system raises on purpose. The message names the value, the rule and the fix; `code` is stable and may be
 * matched on, the message may not; `details` repeats the values in a form that programs can read.
 */
export abstract class RoentgenError extends Error {
  abstract readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.details = details;
  }
}

/** One thing that is wrong with what a caller sent; `field` is a path like `recipe.globalBatchSize` or `files[3].label`. */
export interface InputIssue {
  readonly field: string;
  readonly message: string;
}

/** What the caller sent breaks a rule. All issues are reported at once. */
export class InvalidInputError extends RoentgenError {
  readonly code: string = 'INVALID_INPUT';
  readonly issues: readonly InputIssue[];

  constructor(message: string, issues: readonly InputIssue[] = [], details: Readonly<Record<string, unknown>> = {}) {
    super(message, { ...details, issues });
    this.issues = issues;
  }
}

/** The named thing does not exist in the actor's project. */
export class NotFoundError extends RoentgenError {
  readonly code = 'NOT_FOUND';
}

/** The thing is not in a state that allows what was asked. */
export class ConflictError extends RoentgenError {
  readonly code = 'CONFLICT';
}

/** The actor's role does not allow the action. */
export class ForbiddenError extends RoentgenError {
  readonly code = 'FORBIDDEN';
}

/** A part that this process depends on (database, broker, object store) did not answer in time. */
export class UnavailableError extends RoentgenError {
  readonly code: string = 'UNAVAILABLE';
}

/** The object store answers and can be read, but has no room for what is to be stored. Passes when somebody makes room. */
export class StoreFullError extends UnavailableError {
  override readonly code = 'STORE_FULL';
}

/** The database answers and can be read, but has no room for what is to be written: nothing of it was. Passes when somebody makes room. */
export class DatabaseFullError extends UnavailableError {
  override readonly code = 'DATABASE_FULL';
}

/** A worker or coordinator acts on an attempt, lease or chunk that has since been given to another. */
export class StaleTokenError extends RoentgenError {
  readonly code = 'STALE_TOKEN';
}

/** Turns whatever was thrown into an Error, keeping the original as the cause. */
export function coerceError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`a value that is no Error was thrown: ${String(thrown)}`, { cause: thrown });
}

/** For the `default` of a switch over a union: compiles only while every case is handled. */
export function assertNever(value: never): never {
  throw new TypeError(`unhandled case: ${JSON.stringify(value)}`);
}
