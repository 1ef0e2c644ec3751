import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { InvalidInputError } from './errors.js';

/**
 * Public ids are `<prefix>_<32 hex digits of a UUIDv7>`: sortable by time, safe as one token of a NATS subject, and telling what they name.
 * Postgres holds the bare UUID.
 */
export type Id<Prefix extends string> = `${Prefix}_${string}`;

export type ProjectId = Id<'prj'>;
export type TokenId = Id<'tok'>;
export type UploadId = Id<'upl'>;
export type DatasetId = Id<'ds'>;
export type DatasetVersionId = Id<'dsv'>;
export type RunId = Id<'run'>;
export type AttemptId = Id<'att'>;
export type CheckpointId = Id<'ckp'>;
export type ModelId = Id<'mdl'>;
export type PredictionJobId = Id<'pred'>;
export type WeightSetId = Id<'wts'>;
export type ChunkId = Id<'chk'>;
export type WorkerId = Id<'wkr'>;
export type CoordinatorId = Id<'crd'>;
export type JanitorPassId = Id<'jan'>;

const HEX32 = /^[0-9a-f]{32}$/;

/** A new id whose order follows the time of its making (UUIDv7, RFC 9562 §5.7). */
export function newId<P extends string>(prefix: P): Id<P> {
  return idFromUuid(prefix, uuidV7());
}

/** `run_0190…` from the UUID that Postgres holds. */
export function idFromUuid<P extends string>(prefix: P, uuid: string): Id<P> {
  return `${prefix}_${uuid.replaceAll('-', '').toLowerCase()}`;
}

/** The UUID of a public id, as Postgres wants it. @throws InvalidInputError when it is not an id */
export function uuidOf(id: Id<string>): string {
  const hex = id.slice(id.indexOf('_') + 1);
  if (!HEX32.test(hex))
    throw new InvalidInputError(`"${id}" is not an id: expected <prefix>_<32 hex digits>.`, [{ field: 'id', message: 'not an id' }]);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Whether the text is an id with this prefix. */
export function isId<P extends string>(prefix: P, text: string): text is Id<P> {
  return text.startsWith(`${prefix}_`) && HEX32.test(text.slice(prefix.length + 1));
}

/** Parses an id that a user or a peer sent. @throws InvalidInputError naming the value and the form it should have */
export function parseId<P extends string>(prefix: P, text: string, field = 'id'): Id<P> {
  if (isId(prefix, text)) return text;
  throw new InvalidInputError(`"${text}" is not a valid ${field}: expected ${prefix}_ followed by 32 hex digits.`, [
    { field, message: `expected ${prefix}_ followed by 32 hex digits, got "${text}"` },
  ]);
}

/** zod schema of a public id with this prefix. */
export function idSchema<P extends string>(prefix: P): z.ZodType<Id<P>> {
  return z.custom<Id<P>>((value) => typeof value === 'string' && isId(prefix, value), `expected ${prefix}_ followed by 32 hex digits`);
}

/** zod schema of a uuid column that comes out as a public id. */
export function idColumn<P extends string>(prefix: P): z.ZodType<Id<P>, string> {
  return z.string().transform((uuid) => idFromUuid(prefix, uuid));
}
