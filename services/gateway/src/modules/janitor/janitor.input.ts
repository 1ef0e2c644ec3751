import { Field, InputType } from 'type-graphql';
import { MutationInput } from '../../graphql/input.js';

@InputType()
export class RunJanitorInput extends MutationInput {
  @Field(() => Boolean, { defaultValue: false, description: 'Removes what it finds; without it the pass only says what would go.' })
  delete!: boolean;
}
