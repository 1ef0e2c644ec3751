import { Field, InputType } from 'type-graphql';

/** What every mutation may carry. */
@InputType()
export abstract class MutationInput {
  @Field(() => String, {
    nullable: true,
    description: 'Any text of 1 to 200 characters. The same key with the same input gives the first answer again and does nothing twice.',
  })
  idempotencyKey?: string | null;
}
