import { createHash } from 'node:crypto';
import type { Database, IdempotencyStore, Queryable, RepeatableRequest } from '@roentgen/database';
import { InvalidInputError, type Actor } from '@roentgen/domain';

interface KeyedInput {
  readonly idempotencyKey?: string | null;
}

/** Commands as one transaction each, done once per idempotency key. */
export class Repeatable {
  constructor(
    private readonly db: Database,
    private readonly keys: IdempotencyStore,
  ) {}

  /**
   * Runs `work` in a transaction and keeps the id that it returns under the input's key; a request with a known key gets that id and does nothing.
   * @throws ConflictError when the key was used for another request, InvalidInputError for a key of a wrong length
   */
  async once<Id extends string>(
    actor: Actor,
    operation: string,
    input: KeyedInput,
    work: (tx: Queryable) => Promise<Id>,
  ): Promise<{ readonly id: Id; readonly repeated: boolean }> {
    const request = toRequest(actor, operation, input);
    return await this.db.transaction(operation, async (tx) => {
      const earlier = request === null ? null : await this.keys.claim(tx, request);
      // The key was stored by this very operation, which stores only ids of this kind.
      if (earlier !== null) return { id: earlier as Id, repeated: true };
      const id = await work(tx);
      if (request !== null) await this.keys.complete(tx, request, id);
      return { id, repeated: false };
    });
  }

  /** The id under the input's key, for operations that do costly things before their transaction; null when there is none. @throws ConflictError */
  async earlier<Id extends string>(actor: Actor, operation: string, input: KeyedInput): Promise<Id | null> {
    const request = toRequest(actor, operation, input);
    return request === null ? null : ((await this.keys.find(this.db, request)) as Id | null);
  }
}

function toRequest(actor: Actor, operation: string, input: KeyedInput): RepeatableRequest | null {
  const { idempotencyKey: key, ...rest } = input;
  if (key == null) return null;
  if (key.length < 1 || key.length > 200) {
    throw new InvalidInputError(`idempotencyKey has ${key.length} characters; it takes 1 to 200.`, [
      { field: 'idempotencyKey', message: 'takes 1 to 200 characters' },
    ]);
  }
  return { actorId: actor.tokenId, key, operation, requestSha256: createHash('sha256').update(canonicalJson(rest)).digest() };
}

/** JSON in which equal values give equal text: keys sorted, null and absent the same. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const entries = Object.entries(part).filter(([, v]) => v !== null && v !== undefined);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
