import { Field, ID, InputType } from 'type-graphql';
import { MutationInput } from '../../graphql/input.js';
import { TrainingRecipeInput } from './recipe.input.js';

@InputType()
export class StartTrainingRunInput extends MutationInput {
  @Field(() => ID) datasetVersionId!: string;
  @Field(() => String, { nullable: true, description: '1 to 200 characters; left out: made of variant and dataset.' }) name?: string | null;
  @Field(() => TrainingRecipeInput, { defaultValue: {} }) recipe!: TrainingRecipeInput;
}

const FORCE = 'Do not wait for the worker, and save no checkpoint: what came after the last one is lost.';

@InputType()
export class CancelTrainingRunInput extends MutationInput {
  @Field(() => ID) runId!: string;
  @Field(() => Boolean, { defaultValue: false, description: FORCE }) force!: boolean;
}

@InputType()
export class PauseTrainingRunInput extends MutationInput {
  @Field(() => ID) runId!: string;
  @Field(() => Boolean, { defaultValue: false, description: FORCE }) force!: boolean;
}

@InputType()
export class ResumeTrainingRunInput extends MutationInput {
  @Field(() => ID) runId!: string;
}
