import { z } from 'zod';
import { ConflictError, uuidOf, type TokenId } from '@roentgen/domain';
import type { Queryable } from './database.js';

/** A mutation that its caller may send again. */
export interface RepeatableRequest {
  readonly actorId: TokenId;
  readonly key: string;
  readonly operation: string;
  /** SHA-256 of the input without its key. */
  readonly requestSha256: Buffer;
}

const KeyRow = z.object({ operation: z.string(), request_sha256: z.instanceof(Buffer), result_id: z.string() });

/** Which requests were answered, by actor and key, with the public id of what they made. */
export class IdempotencyStore {
  /**
   * The id that the first request with this key made; null when there was none. @throws ConflictError when the key was used for another request
   */
  async find(on: Queryable, request: RepeatableRequest): Promise<string | null> {
    const rows = await on.query(
      'find_idempotency_key',
      'select operation, request_sha256, result_id from idempotency_keys where actor_id = $1 and key = $2',
      [uuidOf(request.actorId), request.key],
    );
    const known = KeyRow.nullable().parse(rows[0] ?? null);
    if (known === null) return null;
    if (known.operation === request.operation && known.request_sha256.equals(request.requestSha256)) return known.result_id;
    throw new ConflictError(
      `The idempotency key "${request.key}" was used for another request (${known.operation}). Use a new key for a new request.`,
      { key: request.key, operation: known.operation },
    );
  }

  /**
   * Takes the key in the caller's transaction. A second request with the same key waits here for the end of the first. Null: the key is ours, go on
   * and call `complete`; otherwise the id that the first one made. @throws ConflictError when the key was used for another request
   */
  async claim(tx: Queryable, request: RepeatableRequest): Promise<string | null> {
    const rows = await tx.query(
      'claim_idempotency_key',
      `insert into idempotency_keys (actor_id, key, operation, request_sha256, result_id) values ($1, $2, $3, $4, '')
       on conflict (actor_id, key) do nothing returning key`,
      [uuidOf(request.actorId), request.key, request.operation, request.requestSha256],
    );
    return rows.length > 0 ? null : await this.find(tx, request);
  }

  async complete(tx: Queryable, request: RepeatableRequest, resultId: string): Promise<void> {
    await tx.query('complete_idempotency_key', 'update idempotency_keys set result_id = $3 where actor_id = $1 and key = $2', [
      uuidOf(request.actorId),
      request.key,
      resultId,
    ]);
  }
}
