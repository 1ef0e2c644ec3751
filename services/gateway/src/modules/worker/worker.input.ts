import { Field, ID, InputType } from 'type-graphql';
import { MutationInput } from '../../graphql/input.js';

@InputType()
export class DrainWorkerInput extends MutationInput {
  @Field(() => ID) workerId!: string;
}

@InputType()
export class ReadmitWorkerInput extends MutationInput {
  @Field(() => ID) workerId!: string;
}
