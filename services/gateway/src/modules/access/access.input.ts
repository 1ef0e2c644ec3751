import { Field, ID, InputType, Int } from 'type-graphql';
import type { Role } from '@roentgen/domain';
import { RoleEnum } from '../../graphql/enums.js';
import { MutationInput } from '../../graphql/input.js';

@InputType()
export class CreateApiTokenInput extends MutationInput {
  @Field(() => String, { description: '1 to 100 characters.' }) name!: string;
  @Field(() => RoleEnum) role!: Role;
  @Field(() => Int, { nullable: true, description: 'Hours until it expires, 1 to 87600; left out: it does not expire.' }) expiresInHours?:
    number | null;
}

@InputType()
export class RevokeApiTokenInput extends MutationInput {
  @Field(() => ID) tokenId!: string;
}
