import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import {
  ConflictError,
  DatabaseFullError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  StoreFullError,
  UnavailableError,
} from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';

/** The caller showed no token that is valid now. */
export const UNAUTHENTICATED = {
  code: 'UNAUTHENTICATED',
  message:
    'This API takes a token: send "Authorization: Bearer rgt_…" (WebSocket: connectionParams.authorization). The one sent is missing, unknown, expired or revoked.',
} as const;

interface ErrorScope {
  readonly requestId: string;
  readonly logger: Logger;
}

/**
 * What the caller learns of an error. Refusals keep their code and message; anything else is logged whole, with the request id, and told as
 * "internal error" with that id.
 */
export function presentError(error: GraphQLError, scope: ErrorScope): GraphQLFormattedError {
  const { requestId } = scope;
  const place = { ...(error.locations && { locations: error.locations }), ...(error.path && { path: error.path }) };
  const cause = innermost(error);
  const refusal = describeRefusal(cause);
  if (refusal !== null) return { message: refusal.message, ...place, extensions: { ...refusal.extensions, requestId } };
  // Without a path it was refused before anything ran: syntax, validation, variables.
  if (cause instanceof GraphQLError && error.path === undefined) {
    const code = typeof error.extensions['code'] === 'string' ? error.extensions['code'] : 'BAD_REQUEST';
    if (code !== 'INTERNAL_SERVER_ERROR') return { message: error.message, ...place, extensions: { code, requestId } };
  }
  scope.logger.error({ err: cause, requestId, path: error.path }, 'a request failed unexpectedly');
  return { message: 'internal error', ...place, extensions: { code: 'INTERNAL', requestId } };
}

/** Whether an error is the caller's doing: what it sent, or what it may not. */
export function isRefusal(error: GraphQLError): boolean {
  const cause = innermost(error);
  if (cause instanceof UnavailableError) return false;
  return describeRefusal(cause) !== null || (cause instanceof GraphQLError && error.path === undefined);
}

interface Refusal {
  readonly message: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

function describeRefusal(cause: unknown): Refusal | null {
  if (cause instanceof InvalidInputError) return { message: cause.message, extensions: { code: cause.code, inputErrors: cause.issues } };
  if (cause instanceof NotFoundError || cause instanceof ConflictError || cause instanceof ForbiddenError) {
    return { message: cause.message, extensions: { code: cause.code } };
  }
  if (cause instanceof UnavailableError) return { message: unavailableMessage(cause), extensions: { code: cause.code } };
  return null;
}

/** Errors of parts that are away or full name hosts in their own messages; callers are told what they, or their operator, can do. */
export function unavailableMessage(error: UnavailableError): string {
  const fix = 'Nothing was changed. Ask the operator to free space there or to make the disk larger, and try again.';
  if (error instanceof DatabaseFullError) return `The disk of the database is full: nothing can be written. ${fix}`;
  if (error instanceof StoreFullError) return `The object store has no room for what is to be stored. ${fix}`;
  return 'A part of the system does not answer right now. Try again.';
}

/** GraphQL wraps what resolvers throw, sometimes twice. */
function innermost(error: GraphQLError): unknown {
  let cause: unknown = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined) cause = cause.originalError;
  return cause;
}
