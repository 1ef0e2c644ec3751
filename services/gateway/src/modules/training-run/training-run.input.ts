import { Field, ID, InputType } from 'type-graphql';
import { MutationInput } from '../../graphql/input.js';
import { TrainingRecipeInput } from './recipe.input.js';

@InputType()
export class StartTrainingRunInput extends MutationInput {
  @Field(() => ID) datasetVersionId!: string;
  @Field(() => String, { nullable: true, description: '1 to 200 characters; left out: made of variant and dataset.' }) name?: string | null;
  @Field(() => TrainingRecipeInput, { defaultValue: {} }) recipe!: TrainingRecipeInput;
}

@InputType()
export class CancelTrainingRunInput extends MutationInput {
  @Field(() => ID) runId!: string;
}
