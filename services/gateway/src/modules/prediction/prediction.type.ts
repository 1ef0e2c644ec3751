import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { JobStatus, Split } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { JobStatusEnum, SplitEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime } from '../../graphql/scalars.js';

@ObjectType('PredictionJob', { description: 'A model over a split of a dataset version or over an upload.' })
export class PredictionJobType {
  @Field(() => ID) id!: string;
  @Field(() => JobStatusEnum) status!: JobStatus;
  @Field(() => String, { nullable: true }) statusCode!: string | null;
  @Field(() => String, { nullable: true }) statusMessage!: string | null;
  @Field(() => ID) modelId!: string;
  @Field(() => ID, { nullable: true }) datasetVersionId!: string | null;
  @Field(() => SplitEnum, { nullable: true }) split!: Split | null;
  @Field(() => ID, { nullable: true }) uploadId!: string | null;
  @Field(() => Int) imageCount!: number;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true }) finishedAt!: string | null;
}

@ObjectType('ClassProbability')
export class ClassProbabilityType {
  @Field(() => String) label!: string;
  @Field(() => Float, { description: '0 to 1; those of one image sum to 1.' }) probability!: number;
}

@ObjectType('Prediction', { description: 'What the model says of one image.' })
export class PredictionType {
  @Field(() => Int) ordinal!: number;
  @Field(() => String) fileName!: string;
  @Field(() => String) sha256!: string;
  @Field(() => String, { nullable: true, description: 'The label of the dataset, where there is one.' }) label!: string | null;
  @Field(() => String, { nullable: true, description: 'Null until predicted.' }) predictedLabel!: string | null;
  @Field(() => [ClassProbabilityType], { description: 'In the order of the model’s classes; empty until predicted.' })
  probabilities!: readonly ClassProbabilityType[];
  @Field(() => DateTime, { nullable: true }) predictedAt!: string | null;
}

export const PredictionJobConnection = connectionType(PredictionJobType, 'PredictionJob');
export const PredictionConnection = connectionType(PredictionType, 'Prediction');

@ObjectType()
export class StartPredictionPayload extends Payload {
  @Field(() => PredictionJobType, { nullable: true }) job?: PredictionJobType | null;
}
