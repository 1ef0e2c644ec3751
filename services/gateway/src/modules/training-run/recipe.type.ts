import { Field, Float, Int, ObjectType } from 'type-graphql';
import type { EfficientNetVariant, TrainingRecipe } from '@roentgen/domain';
import { BatchNormEnum, OptimizerKindEnum, ScheduleKindEnum, VariantEnum } from '../../graphql/enums.js';
import { SafeInt } from '../../graphql/scalars.js';

@ObjectType('Optimizer')
export class OptimizerType {
  @Field(() => OptimizerKindEnum) kind!: 'adam';
  @Field(() => Float) beta1!: number;
  @Field(() => Float) beta2!: number;
  @Field(() => Float) epsilon!: number;
}

@ObjectType('Schedule')
export class ScheduleType {
  @Field(() => ScheduleKindEnum) kind!: 'constant' | 'cosine';
  @Field(() => Int) warmupSteps!: number;
}

@ObjectType('Augmentation')
export class AugmentationType {
  @Field(() => Boolean) horizontalFlip!: boolean;
}

@ObjectType('TrainingRecipe', {
  description: 'All that decides the result of a run besides its dataset version, with every default filled in.',
})
export class TrainingRecipeType implements TrainingRecipe {
  @Field(() => VariantEnum) variant!: EfficientNetVariant;
  @Field(() => Int, { description: 'Side of the square images that the network sees.' }) imageSizePx!: number;
  @Field(() => Int) epochs!: number;
  @Field(() => Int, { description: 'Samples per optimiser update, over all workers.' }) globalBatchSize!: number;
  @Field(() => Int, { description: 'Samples per session call.' }) microBatchSize!: number;
  @Field(() => Float) learningRate!: number;
  @Field(() => OptimizerType) optimizer!: OptimizerType;
  @Field(() => ScheduleType) schedule!: ScheduleType;
  @Field(() => Float) labelSmoothing!: number;
  @Field(() => Float) dropoutRate!: number;
  @Field(() => Float, { description: 'Stochastic depth: chance that the last block’s residual branch is dropped.' })
  dropConnectRate!: number;
  @Field(() => BatchNormEnum) batchNorm!: 'batch' | 'frozen';
  @Field(() => Float, { description: 'How much of the running statistics is kept at each step.' }) batchNormMomentum!: number;
  @Field(() => SafeInt) seed!: number;
  @Field(() => AugmentationType) augment!: AugmentationType;
  @Field(() => Int) checkpointEveryEpochs!: number;
}
