import { Field, ID, ObjectType } from 'type-graphql';
import type { EfficientNetVariant } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { VariantEnum } from '../../graphql/enums.js';
import { DateTime } from '../../graphql/scalars.js';

@ObjectType('Model', { description: 'The checkpoint that a finished run stands for.' })
export class ModelType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => VariantEnum) variant!: EfficientNetVariant;
  @Field(() => [String], { description: 'In the order of the model’s outputs.' }) classes!: readonly string[];
  @Field(() => ID) runId!: string;
  @Field(() => ID) checkpointId!: string;
  @Field(() => DateTime) createdAt!: string;
}

@ObjectType('ModelFiles', { description: 'Where to GET the two files that a model is, for 15 minutes.' })
export class ModelFilesType {
  @Field(() => String, { description: 'Tensors as safetensors, the optimiser’s included.' }) tensorsUrl!: string;
  @Field(() => String, { description: 'JSON: variant, classes, conventions, recipe, and the SHA-256 of the tensors.' })
  descriptionUrl!: string;
}

export const ModelConnection = connectionType(ModelType, 'Model');
