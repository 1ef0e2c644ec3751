import type { TokenRecord, TokenStore } from '@roentgen/database';
import { InvalidInputError, NotFoundError, newId, parseId, type Actor, type InputIssue, type TokenId } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import { answer } from '../../graphql/payload.js';
import type { Repeatable } from '../repeatable.js';
import type { CreateApiTokenInput, RevokeApiTokenInput } from './access.input.js';
import type { CreateApiTokenPayload, RevokeApiTokenPayload, ViewerType } from './access.type.js';
import { bearerToken, hashToken, newToken } from './tokens.js';

const MAX_EXPIRY_HOURS = 87_600;

/** Who may ask, and the tokens that say so. */
export class AccessService {
  constructor(
    private readonly tokens: TokenStore,
    private readonly repeatable: Repeatable,
  ) {}

  /** The actor behind an `Authorization` value; null for anything but a token that is known, unexpired and not revoked. */
  async authenticate(authorization: unknown): Promise<Actor | null> {
    const token = bearerToken(authorization);
    const record = token === null ? null : await this.tokens.findLive(hashToken(token));
    return record && { tokenId: record.id, tokenName: record.name, projectId: record.projectId, role: record.role };
  }

  async viewer(actor: Actor): Promise<ViewerType> {
    const { tokenId, tokenName, role } = actor;
    return { tokenId, tokenName, role, project: await this.tokens.project(actor.projectId) };
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<TokenRecord>> {
    const page = await this.tokens.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (token) => token,
      () => this.tokens.count(actor.projectId),
    );
  }

  create(actor: Actor, input: CreateApiTokenInput): Promise<CreateApiTokenPayload> {
    return answer(async () => {
      assertValid(input);
      const token = newToken();
      const { id, repeated } = await this.repeatable.once(actor, 'create_api_token', input, async (tx) => {
        const { name, role } = input;
        const record = {
          id: newId('tok'),
          projectId: actor.projectId,
          name,
          role,
          sha256: hashToken(token),
          expiresInHours: input.expiresInHours ?? null,
        };
        return (await this.tokens.create(tx, record)).id;
      });
      return { apiToken: await this.read(actor, id), token: repeated ? null : token };
    });
  }

  revoke(actor: Actor, input: RevokeApiTokenInput): Promise<RevokeApiTokenPayload> {
    return answer(async () => {
      const wanted = parseId('tok', input.tokenId, 'tokenId');
      const { id } = await this.repeatable.once(actor, 'revoke_api_token', input, async (tx) => {
        if ((await this.tokens.revoke(tx, actor.projectId, wanted)) === null) throw unknownToken(wanted);
        return wanted;
      });
      return { apiToken: await this.read(actor, id) };
    });
  }

  private async read(actor: Actor, id: TokenId): Promise<TokenRecord> {
    const record = await this.tokens.find(actor.projectId, id);
    if (record === null) throw unknownToken(id);
    return record;
  }
}

function assertValid(input: CreateApiTokenInput): void {
  const issues: InputIssue[] = [];
  if (input.name.trim() === '' || input.name.length > 100)
    issues.push({ field: 'name', message: `takes 1 to 100 characters, got ${input.name.length}` });
  const hours = input.expiresInHours;
  if (hours != null && (hours < 1 || hours > MAX_EXPIRY_HOURS)) {
    issues.push({ field: 'expiresInHours', message: `takes 1 to ${MAX_EXPIRY_HOURS}, got ${hours}` });
  }
  if (issues.length > 0) throw new InvalidInputError(issues.map((i) => `${i.field} ${i.message}`).join('; '), issues);
}

function unknownToken(id: TokenId): NotFoundError {
  return new NotFoundError(`There is no token ${id} in this project.`, { tokenId: id });
}
