/** One thing that is wrong with what was sent; `field` is a path like `recipe.globalBatchSize`. */
export interface InputIssue {
  readonly field: string;
  readonly message: string;
}

/** Base of every error of this client. `code` is stable and may be matched on; the message is for people. */
export abstract class ClientError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The API refused or could not do what was asked. `requestId` finds the request in the server's log. */
export class ApiError extends ClientError {
  constructor(
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }

  /** Whether the token is missing, unknown, expired, or its role too small. */
  get isRefusal(): boolean {
    return this.code === 'UNAUTHENTICATED' || this.code === 'FORBIDDEN';
  }

  /** Whether it is a part of the server that does not answer at the moment, and not the request. */
  get isPassing(): boolean {
    return this.code === 'UNAVAILABLE';
  }
}

/** A mutation was understood and answered `ok: false`. */
export class MutationError extends ClientError {
  constructor(
    readonly code: string,
    message: string,
    readonly inputErrors: readonly InputIssue[],
  ) {
    super(message);
  }
}

/** Nobody answered at the address, or the connection broke and did not come back in time. */
export class UnreachableError extends ClientError {
  readonly code = 'UNREACHABLE';
}

/** Something answered at the address that is not this API. */
export class UnexpectedResponseError extends ClientError {
  readonly code = 'UNEXPECTED_RESPONSE';
}

/** The object store did not take a file. */
export class TransferError extends ClientError {
  readonly code = 'TRANSFER_FAILED';
}

/** What was asked for ended badly on the server: an upload that expired, a prediction job that failed. */
export class FailedError extends ClientError {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
