import { Field, Float, InputType, Int } from 'type-graphql';
import { EFFICIENTNET_VARIANT_NAMES, parseTrainingRecipe } from '@roentgen/domain';
import { BatchNormEnum, OptimizerKindEnum, ScheduleKindEnum } from '../../graphql/enums.js';
import { SafeInt } from '../../graphql/scalars.js';

/** Shown as the defaults of the schema, so that both always agree. */
const DEFAULTS = parseTrainingRecipe({});

@InputType()
export class OptimizerInput {
  @Field(() => OptimizerKindEnum, { defaultValue: DEFAULTS.optimizer.kind }) kind!: 'adam';
  @Field(() => Float, { defaultValue: DEFAULTS.optimizer.beta1, description: '0 to 0.9999.' }) beta1!: number;
  @Field(() => Float, { defaultValue: DEFAULTS.optimizer.beta2, description: '0 to 0.99999.' }) beta2!: number;
  @Field(() => Float, { defaultValue: DEFAULTS.optimizer.epsilon, description: 'Above 0.' }) epsilon!: number;
}

@InputType()
export class ScheduleInput {
  @Field(() => ScheduleKindEnum, { defaultValue: DEFAULTS.schedule.kind }) kind!: 'constant' | 'cosine';
  @Field(() => Int, {
    defaultValue: DEFAULTS.schedule.warmupSteps,
    description: 'Steps over which the learning rate rises to its full value.',
  })
  warmupSteps!: number;
}

@InputType()
export class AugmentationInput {
  @Field(() => Boolean, { defaultValue: DEFAULTS.augment.horizontalFlip }) horizontalFlip!: boolean;
}

@InputType({ description: 'What is left out gets the default that stands here.' })
export class TrainingRecipeInput {
  @Field(() => String, {
    defaultValue: DEFAULTS.variant,
    description: `One of ${EFFICIENTNET_VARIANT_NAMES.join(', ')}; in any case, and efficientnet-b3 is B3 too.`,
  })
  variant!: string;
  @Field(() => Int, { defaultValue: DEFAULTS.imageSizePx, description: 'Side of the square images that the network sees, 32 to 1024.' })
  imageSizePx!: number;
  @Field(() => Int, { defaultValue: DEFAULTS.epochs, description: '1 to 10,000.' }) epochs!: number;
  @Field(() => Int, { defaultValue: DEFAULTS.globalBatchSize, description: 'Samples per optimiser update; a multiple of microBatchSize.' })
  globalBatchSize!: number;
  @Field(() => Int, { defaultValue: DEFAULTS.microBatchSize, description: 'Samples per session call.' }) microBatchSize!: number;
  @Field(() => Float, { defaultValue: DEFAULTS.learningRate, description: 'Above 0; the highest of the schedule.' }) learningRate!: number;
  @Field(() => OptimizerInput, { defaultValue: DEFAULTS.optimizer }) optimizer!: OptimizerInput;
  @Field(() => ScheduleInput, { defaultValue: DEFAULTS.schedule }) schedule!: ScheduleInput;
  @Field(() => Float, { defaultValue: DEFAULTS.labelSmoothing, description: '0 to 0.5.' }) labelSmoothing!: number;
  @Field(() => Float, { defaultValue: DEFAULTS.dropoutRate, description: '0 to 0.9, before the classifier.' }) dropoutRate!: number;
  @Field(() => Float, {
    defaultValue: DEFAULTS.dropConnectRate,
    description: '0 to 0.9; chance that the last block’s residual branch is dropped.',
  })
  dropConnectRate!: number;
  @Field(() => BatchNormEnum, { defaultValue: DEFAULTS.batchNorm }) batchNorm!: 'batch' | 'frozen';
  @Field(() => Float, { defaultValue: DEFAULTS.batchNormMomentum, description: 'How much of the running statistics is kept at each step.' })
  batchNormMomentum!: number;
  @Field(() => SafeInt, {
    defaultValue: DEFAULTS.seed,
    description: '0 to 2,147,483,647; decides weights, order, augmentation and dropout.',
  })
  seed!: number;
  @Field(() => AugmentationInput, { defaultValue: DEFAULTS.augment }) augment!: AugmentationInput;
  @Field(() => Int, { defaultValue: DEFAULTS.checkpointEveryEpochs, description: 'And always after the last epoch.' })
  checkpointEveryEpochs!: number;
}
