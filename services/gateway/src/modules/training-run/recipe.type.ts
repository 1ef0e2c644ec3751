import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type {
  AugmentationRecipe,
  ClassWeighting,
  EfficientNetVariant,
  OptimizerKind,
  Precision,
  RequestedRecipe,
  ScheduleKind,
} from '@roentgen/domain';
import {
  BatchNormEnum,
  ClassWeightingEnum,
  FreezeLimitEnum,
  OptimizerKindEnum,
  PrecisionEnum,
  ScheduleKindEnum,
  VariantEnum,
} from '../../graphql/enums.js';
import { SafeInt } from '../../graphql/scalars.js';

const belongsTo = (kinds: string) => `Null unless the kind is ${kinds}.`;

@ObjectType('Optimizer')
export class OptimizerType {
  @Field(() => OptimizerKindEnum) kind!: OptimizerKind;
  @Field(() => Float, { nullable: true, description: belongsTo('ADAM or ADAMW') }) beta1?: number;
  @Field(() => Float, { nullable: true, description: belongsTo('ADAM or ADAMW') }) beta2?: number;
  @Field(() => Float, { nullable: true, description: belongsTo('ADAM or ADAMW') }) epsilon?: number;
  @Field(() => Float, { nullable: true, description: belongsTo('ADAMW') }) weightDecay?: number;
  @Field(() => Float, { nullable: true, description: belongsTo('SGD') }) momentum?: number;
  @Field(() => Boolean, { nullable: true, description: belongsTo('SGD') }) nesterov?: boolean;
}

@ObjectType('Schedule')
export class ScheduleType {
  @Field(() => ScheduleKindEnum) kind!: ScheduleKind;
  @Field(() => Int) warmupSteps!: number;
  @Field(() => Float, { nullable: true, description: 'Share of the learning rate that is left at the end; null with CONSTANT.' })
  finalFraction?: number;
}

@ObjectType('Freeze')
export class FreezeType {
  @Field(() => FreezeLimitEnum) until!: 'none' | 'head';
  @Field(() => Int) epochs!: number;
}

@ObjectType('Augmentation', { description: 'Ranges of the random changes of the training images; 0: none.' })
export class AugmentationType implements AugmentationRecipe {
  @Field(() => Float, { description: 'Turned by up to ± this.' }) rotationDegrees!: number;
  @Field(() => Float, { description: 'Chance of a mirror image.' }) horizontalFlip!: number;
  @Field(() => Float, { description: 'Moved by up to ± this share of the side, along each axis.' }) shiftFraction!: number;
  @Field(() => Float, { description: 'Magnified by a factor within 1 ± this.' }) scaleFraction!: number;
  @Field(() => Float, { description: 'Share of the range from black to white that is added, within ± this.' }) brightness!: number;
  @Field(() => Float, { description: 'Differences from medium grey times a factor within 1 ± this.' }) contrast!: number;
}

@ObjectType('TrainingRecipe', {
  description: 'All that decides the result of a run besides its dataset version, with every default filled in.',
})
export class TrainingRecipeType implements Omit<RequestedRecipe, 'optimizer' | 'schedule'> {
  @Field(() => VariantEnum) variant!: EfficientNetVariant;
  @Field(() => ID, { nullable: true, description: 'Weight set that training starts from; null: random weights.' })
  initialWeights!: string | null;
  @Field(() => Int, { description: 'Side of the square images that the network sees.' }) imageSizePx!: number;
  @Field(() => Int) epochs!: number;
  @Field(() => Int, { description: 'Samples per optimiser update, over all workers.' }) globalBatchSize!: number;
  @Field(() => Int, { nullable: true, description: 'Samples per session call; null until it is settled, before the first step.' })
  microBatchSize!: number | null;
  @Field(() => Float) learningRate!: number;
  @Field(() => OptimizerType) optimizer!: OptimizerType;
  @Field(() => ScheduleType) schedule!: ScheduleType;
  @Field(() => Float, { nullable: true, description: 'Longest allowed norm of the averaged gradient; null: any.' })
  clipNorm!: number | null;
  @Field(() => Float, { nullable: true, description: 'Decay of the moving average of the weights that the model is made of; null: none.' })
  emaDecay!: number | null;
  @Field(() => Float, {
    nullable: true,
    description: 'Share of the next block’s learning rate that each block learns with; null: all learn alike.',
  })
  layerDecay!: number | null;
  @Field(() => ClassWeightingEnum) classWeights!: ClassWeighting;
  @Field(() => FreezeType) freeze!: FreezeType;
  @Field(() => Float) labelSmoothing!: number;
  @Field(() => Float) dropoutRate!: number;
  @Field(() => Float, { description: 'Stochastic depth: chance that the last block’s residual branch is dropped.' })
  dropConnectRate!: number;
  @Field(() => BatchNormEnum) batchNorm!: 'batch' | 'frozen';
  @Field(() => Float, { description: 'How much of the running statistics is kept at each step.' }) batchNormMomentum!: number;
  @Field(() => PrecisionEnum) precision!: Precision;
  @Field(() => Boolean, { description: 'Activations are computed again on the way back instead of being kept.' }) recompute!: boolean;
  @Field(() => SafeInt) seed!: number;
  @Field(() => AugmentationType) augmentation!: AugmentationType;
  @Field(() => Int) checkpointEveryEpochs!: number;
}
