import { Arg, Args, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import type { AccessService } from './access-service.js';
import { CreateApiTokenInput, RevokeApiTokenInput } from './access.input.js';
import { ApiTokenConnection, CreateApiTokenPayload, RevokeApiTokenPayload, ViewerType, type ApiTokenType } from './access.type.js';

@Resolver()
export class AccessResolver {
  constructor(private readonly service: AccessService) {}

  @Allow('project:read')
  @Query(() => ViewerType)
  viewer(@Ctx() { actor }: RequestContext): Promise<ViewerType> {
    return this.service.viewer(actor);
  }

  @Allow('token:read')
  @Query(() => ApiTokenConnection, { description: 'Newest first; the tokens themselves are kept nowhere.' })
  apiTokens(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<ApiTokenType>> {
    return this.service.list(actor, page);
  }

  @Allow('token:write')
  @Mutation(() => CreateApiTokenPayload, { description: 'A new token of this project.' })
  createApiToken(
    @Arg('input', () => CreateApiTokenInput) input: CreateApiTokenInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<CreateApiTokenPayload> {
    return this.service.create(actor, input);
  }

  @Allow('token:write')
  @Mutation(() => RevokeApiTokenPayload, { description: 'Ends a token at once; revoking twice changes nothing.' })
  revokeApiToken(
    @Arg('input', () => RevokeApiTokenInput) input: RevokeApiTokenInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<RevokeApiTokenPayload> {
    return this.service.revoke(actor, input);
  }
}
