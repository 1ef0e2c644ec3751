import { Field, Float, ID, InputType } from 'type-graphql';
import { OnRejectedEnum } from '../../graphql/enums.js';
import { MutationInput } from '../../graphql/input.js';
import { SafeInt } from '../../graphql/scalars.js';

@InputType({ description: 'Shares of the samples, 0 to 1 each; they sum to 1.' })
export class SplitFractionsInput {
  @Field(() => Float, { defaultValue: 0.7 }) train!: number;
  @Field(() => Float, { defaultValue: 0.15 }) val!: number;
  @Field(() => Float, { defaultValue: 0.15 }) test!: number;
}

@InputType()
export class FinalizeDatasetInput extends MutationInput {
  @Field(() => ID, { description: 'An upload that is READY.' }) uploadId!: string;
  @Field(() => String, { description: '1 to 200 characters; an existing dataset gets a new version.' }) datasetName!: string;
  @Field(() => SafeInt, { defaultValue: 0, description: 'The same files and seed give the same split.' }) splitSeed!: number;
  @Field(() => SplitFractionsInput, { defaultValue: { train: 0.7, val: 0.15, test: 0.15 } }) splitFractions!: SplitFractionsInput;
  @Field(() => OnRejectedEnum, { defaultValue: 'FAIL' }) onRejected!: 'FAIL' | 'SKIP';
}
