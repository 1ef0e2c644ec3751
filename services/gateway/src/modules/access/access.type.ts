import { Field, ID, ObjectType } from 'type-graphql';
import type { Role } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { RoleEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime } from '../../graphql/scalars.js';

@ObjectType('Project', { description: 'The wall between tenants: a token sees only what is in its project.' })
export class ProjectType {
  @Field(() => ID) id!: string;
  @Field(() => String) slug!: string;
  @Field(() => String) name!: string;
}

@ObjectType('Viewer', { description: 'The token that asks.' })
export class ViewerType {
  @Field(() => ID) tokenId!: string;
  @Field(() => String) tokenName!: string;
  @Field(() => RoleEnum) role!: Role;
  @Field(() => ProjectType) project!: ProjectType;
}

@ObjectType('ApiToken')
export class ApiTokenType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => RoleEnum) role!: Role;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true, description: 'Null: it does not expire.' }) expiresAt!: string | null;
  @Field(() => DateTime, { nullable: true }) revokedAt!: string | null;
}

export const ApiTokenConnection = connectionType(ApiTokenType, 'ApiToken');

@ObjectType()
export class CreateApiTokenPayload extends Payload {
  @Field(() => ApiTokenType, { nullable: true }) apiToken?: ApiTokenType | null;
  @Field(() => String, {
    nullable: true,
    description: 'The token itself: shown this once, stored nowhere. Null when an idempotency key was repeated.',
  })
  token?: string | null;
}

@ObjectType()
export class RevokeApiTokenPayload extends Payload {
  @Field(() => ApiTokenType, { nullable: true }) apiToken?: ApiTokenType | null;
}
