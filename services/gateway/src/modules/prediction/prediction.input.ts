import { Field, ID, InputType } from 'type-graphql';
import type { Split } from '@roentgen/domain';
import { SplitEnum } from '../../graphql/enums.js';
import { MutationInput } from '../../graphql/input.js';

@InputType({ description: 'Either datasetVersionId and split, or uploadId.' })
export class StartPredictionInput extends MutationInput {
  @Field(() => ID) modelId!: string;
  @Field(() => ID, { nullable: true }) datasetVersionId?: string | null;
  @Field(() => SplitEnum, { nullable: true }) split?: Split | null;
  @Field(() => ID, { nullable: true, description: 'An upload that is READY; its VERIFIED files are predicted.' }) uploadId?: string | null;
}
