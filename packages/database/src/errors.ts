import pg from 'pg';
import { ConflictError, DatabaseFullError, UnavailableError, coerceError } from '@roentgen/domain';

/**
 * SQLSTATEs of a server that is going, coming or full (connections, disk, memory), of sessions that it ended, and of statements that others were in the way
 * of: the same again may work (appendix A of Postgres' documentation).
 */
const AWAY_STATES = /^(08|57P0|53|58|25P03|40001|40P01)/;
const AWAY_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
/** The driver tells a lost connection by its text alone. */
const AWAY_TEXTS = /Connection terminated|connection error and is not queryable|timeout exceeded when trying to connect|Query read timeout/;

/** What is to be referred to is being removed from the store. Nothing was written; once it is gone, the same bytes can be stored again. */
export class ObjectInRemovalError extends ConflictError {}

/** Another transaction held what this one had to lock for longer than it waits. Nothing was written; the same again may work. */
export class LockTimeoutError extends UnavailableError {}

/** lock_not_available */
const LOCK_TIMEOUT_STATE = '55P03';

/** As claim_object_keys raises it. */
const IN_REMOVAL_STATE = 'RJ001';

/** disk_full */
const FULL_STATE = '53100';

/** The driver's error in our terms: DatabaseFullError when its disk is, LockTimeoutError when others held a lock for too long, UnavailableError when the server could not be reached or went away, ObjectInRemovalError, else what was thrown. */
export function translateError(thrown: unknown, host: string): Error {
  const error = coerceError(thrown);
  if (error instanceof pg.DatabaseError && error.code === IN_REMOVAL_STATE) return inRemoval(error);
  if (error instanceof pg.DatabaseError && error.code === FULL_STATE) return full(error, host);
  if (error instanceof pg.DatabaseError && error.code === LOCK_TIMEOUT_STATE) return lockTimeout(error, host);
  if (!isAway(error)) return error;
  const message = `Postgres at ${host} does not answer (${error.message || 'no connection'}). Reconnecting goes on; try again, or start it.`;
  return new UnavailableError(message, { host }, { cause: error });
}

function full(cause: pg.DatabaseError, host: string): DatabaseFullError {
  // Without room for its write-ahead log the server ends, and cannot recover before there is some.
  const rest =
    cause.severity === 'PANIC'
      ? 'it has ended. Free space there, or make the disk larger, and start it again'
      : 'nothing was written. Free space there, or make the disk larger; it goes on by itself then';
  return new DatabaseFullError(`The disk of Postgres at ${host} is full (${cause.message}): ${rest}.`, { host }, { cause });
}

function lockTimeout(cause: pg.DatabaseError, host: string): LockTimeoutError {
  const message = `Another transaction at ${host} holds what is to be changed (${cause.message}). It ends by itself within a minute; try again.`;
  return new LockTimeoutError(message, { host }, { cause });
}

function isAway(error: Error): boolean {
  if (error instanceof pg.DatabaseError) return AWAY_STATES.test(error.code ?? '');
  return ('code' in error && AWAY_CODES.has(String(error.code))) || AWAY_TEXTS.test(error.message);
}

function inRemoval(cause: pg.DatabaseError): ObjectInRemovalError {
  const key = cause.detail ?? '';
  return new ObjectInRemovalError(
    `The object ${key} has just been removed, because nothing referred to it for long, or is about to be. Try again in a few minutes.`,
    { key },
    { cause },
  );
}
