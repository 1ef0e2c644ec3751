import { ErrorCode, NatsError } from 'nats';
import { RoentgenError, UnavailableError, coerceError } from '@roentgen/domain';

/** Nobody answered in time; whether the request was carried out is not known. */
export class BusTimeoutError extends RoentgenError {
  readonly code = 'BUS_TIMEOUT';
}

/** Nobody listens to the request's subject: it was not carried out. */
export class NoRespondersError extends RoentgenError {
  readonly code = 'NO_RESPONDERS';
}

/** The other side answered with an error; `code` is the one it gave. */
export class RemoteError extends RoentgenError {
  constructor(
    readonly code: string,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message, details);
  }
}

/** The broker does not let this service role use the subject. */
export class BusPermissionError extends RoentgenError {
  readonly code = 'BUS_PERMISSION';
}

/** The message is larger than the broker takes. */
export class MessageTooLargeError extends RoentgenError {
  readonly code = 'MESSAGE_TOO_LARGE';
}

/** What was being done when the client threw. */
export interface BusOperation {
  readonly what: string;
  readonly subject: string;
  readonly user: string;
  readonly timeoutMs?: number;
  readonly bytes?: number;
}

/** The client's error in our terms; errors that are ours already pass through. */
export function translateError(thrown: unknown, operation: BusOperation): Error {
  const error = coerceError(thrown);
  if (!(error instanceof NatsError)) return error;
  const { what, subject, user, timeoutMs, bytes } = operation;
  const options = { cause: error };
  const details = { subject };
  switch (error.code) {
    case ErrorCode.Timeout:
      return new BusTimeoutError(`${what} on ${subject} was not answered within ${timeoutMs ?? 0} ms.`, { ...details, timeoutMs }, options);
    case ErrorCode.NoResponders:
      return new NoRespondersError(
        `Nobody listens to ${subject}: ${what} was not delivered. Is the service that answers it running?`,
        details,
        options,
      );
    case ErrorCode.PermissionsViolation:
      return new BusPermissionError(
        `The broker does not let user "${user}" use ${subject} for ${what}. Its permissions come from ROLE_PERMISSIONS: make the broker's configuration anew.`,
        { ...details, user },
        options,
      );
    case ErrorCode.MaxPayloadExceeded:
      return new MessageTooLargeError(
        `${what} on ${subject} has ${bytes ?? 0} bytes, more than the broker's max_payload. Send less at once, or raise max_payload.`,
        { ...details, bytes },
        options,
      );
    default:
      return new UnavailableError(`${what} on ${subject} failed: the broker said ${error.code}: ${error.message}.`, details, options);
  }
}
