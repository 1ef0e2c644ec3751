import { Field, Float, InputType, Int } from 'type-graphql';
import {
  AUGMENTATION_LIMITS,
  EFFICIENTNET_VARIANT_NAMES,
  parseTrainingRecipe,
  type AugmentationPreset,
  type AugmentationRecipe,
  type ClassWeighting,
  type OptimizerKind,
  type Precision,
  type ScheduleKind,
} from '@roentgen/domain';
import {
  AugmentationPresetEnum,
  BatchNormEnum,
  ClassWeightingEnum,
  FreezeLimitEnum,
  OptimizerKindEnum,
  PrecisionEnum,
  ScheduleKindEnum,
} from '../../graphql/enums.js';
import { SafeInt } from '../../graphql/scalars.js';

/** Shown as the defaults of the schema, so that both always agree. */
const DEFAULTS = parseTrainingRecipe({});

@InputType({ description: 'Fields of another kind are an error; those left out get the default of the kind.' })
export class OptimizerInput {
  @Field(() => OptimizerKindEnum, { defaultValue: DEFAULTS.optimizer.kind }) kind!: OptimizerKind;
  @Field(() => Float, { nullable: true, description: 'ADAM, ADAMW: 0 to 0.9999; 0.9.' }) beta1?: number | null;
  @Field(() => Float, { nullable: true, description: 'ADAM, ADAMW: 0 to 0.99999; 0.999.' }) beta2?: number | null;
  @Field(() => Float, { nullable: true, description: 'ADAM, ADAMW: 1e-12 to 1; 1e-7, with ADAMW 1e-8.' }) epsilon?: number | null;
  @Field(() => Float, { nullable: true, description: 'ADAMW: 0 to 1; 0.02. Of kernels only, never of batch norm or biases.' })
  weightDecay?: number | null;
  @Field(() => Float, { nullable: true, description: 'SGD: 0 to 0.9999; 0.9.' }) momentum?: number | null;
  @Field(() => Boolean, { nullable: true, description: 'SGD: true.' }) nesterov?: boolean | null;
}

@InputType({ description: 'Fields of another kind are an error.' })
export class ScheduleInput {
  @Field(() => ScheduleKindEnum, { defaultValue: DEFAULTS.schedule.kind }) kind!: ScheduleKind;
  @Field(() => Int, {
    defaultValue: DEFAULTS.schedule.warmupSteps,
    description: 'Steps over which the learning rate rises to its full value.',
  })
  warmupSteps!: number;
  @Field(() => Float, {
    nullable: true,
    description: 'Share of the learning rate that is left at the end. COSINE: 0 to 1; 0. EXPONENTIAL: 1e-6 to 1; 0.01.',
  })
  finalFraction?: number | null;
}

@InputType()
export class FreezeInput {
  @Field(() => FreezeLimitEnum, { defaultValue: DEFAULTS.freeze.until }) until!: 'none' | 'head';
  @Field(() => Int, { defaultValue: DEFAULTS.freeze.epochs, description: 'Epochs in which only the classifier learns.' }) epochs!: number;
}

const rangeField = (name: keyof AugmentationRecipe, what: string) =>
  Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS[name]}; ${what}` });

@InputType({ description: 'Random changes of the training images, anew in every epoch. A range that is left out is that of the preset.' })
export class AugmentationInput {
  @Field(() => AugmentationPresetEnum, { defaultValue: 'none' }) preset!: AugmentationPreset;
  @rangeField('rotationDegrees', 'turned by up to ± this.') rotationDegrees?: number | null;
  @rangeField('horizontalFlip', 'chance of a mirror image.') horizontalFlip?: number | null;
  @rangeField('shiftFraction', 'moved by up to ± this share of the side, along each axis.') shiftFraction?: number | null;
  @rangeField('scaleFraction', 'magnified by a factor within 1 ± this.') scaleFraction?: number | null;
  @rangeField('brightness', 'share of the range from black to white that is added, within ± this.') brightness?: number | null;
  @rangeField('contrast', 'differences from medium grey times a factor within 1 ± this.') contrast?: number | null;
}

@InputType({ description: 'What is left out gets the default that stands here.' })
export class TrainingRecipeInput {
  @Field(() => String, {
    defaultValue: DEFAULTS.variant,
    description: `One of ${EFFICIENTNET_VARIANT_NAMES.join(', ')}; in any case, and efficientnet-b3 is B3 too.`,
  })
  variant!: string;
  @Field(() => String, {
    nullable: true,
    description:
      'Weight set to start from, by name or id; READY and of the same variant. Left out: random weights. With one, batchNorm FROZEN is advised: its running statistics stay.',
  })
  initialWeights?: string | null;
  @Field(() => Int, {
    nullable: true,
    description:
      'Side of the square images that the network sees, 32 to 1024; by default what the variant was designed for: 224 for B0, 300 for B3.',
  })
  imageSizePx?: number | null;
  @Field(() => Int, { defaultValue: DEFAULTS.epochs, description: '1 to 10,000.' }) epochs!: number;
  @Field(() => Int, { defaultValue: DEFAULTS.globalBatchSize, description: 'Samples per optimiser update; a multiple of microBatchSize.' })
  globalBatchSize!: number;
  @Field(() => Int, {
    nullable: true,
    description:
      'Samples per session call. By default as many as fit into every worker that can train the run, settled before its first step.',
  })
  microBatchSize?: number | null;
  @Field(() => Float, { defaultValue: DEFAULTS.learningRate, description: 'Above 0; the highest of the schedule.' }) learningRate!: number;
  @Field(() => OptimizerInput, { defaultValue: { kind: DEFAULTS.optimizer.kind } }) optimizer!: OptimizerInput;
  @Field(() => ScheduleInput, { defaultValue: { kind: DEFAULTS.schedule.kind, warmupSteps: DEFAULTS.schedule.warmupSteps } })
  schedule!: ScheduleInput;
  @Field(() => Float, {
    nullable: true,
    description: '1e-6 to 1e6: a longer averaged gradient is scaled down to this norm; null: never.',
  })
  clipNorm?: number | null;
  @Field(() => Float, {
    nullable: true,
    description:
      '0.5 to 0.99999: evaluation and model use a moving average of the weights, with decay min(emaDecay, (1 + step) / (10 + step)); null: the weights themselves.',
  })
  emaDecay?: number | null;
  @Field(() => Float, {
    nullable: true,
    description:
      '0.01 to 1: the classifier learns with the whole learning rate, the last block with this share, each one before with this share of the next one’s; null: all with the whole.',
  })
  layerDecay?: number | null;
  @Field(() => ClassWeightingEnum, { defaultValue: DEFAULTS.classWeights }) classWeights!: ClassWeighting;
  @Field(() => FreezeInput, { defaultValue: DEFAULTS.freeze }) freeze!: FreezeInput;
  @Field(() => Float, { defaultValue: DEFAULTS.labelSmoothing, description: '0 to 0.5.' }) labelSmoothing!: number;
  @Field(() => Float, {
    nullable: true,
    description: '0 to 0.9, before the classifier; by default that of the variant: 0.2 for B0, 0.3 for B3.',
  })
  dropoutRate?: number | null;
  @Field(() => Float, {
    defaultValue: DEFAULTS.dropConnectRate,
    description: '0 to 0.9; chance that the last block’s residual branch is dropped.',
  })
  dropConnectRate!: number;
  @Field(() => BatchNormEnum, { defaultValue: DEFAULTS.batchNorm }) batchNorm!: 'batch' | 'frozen';
  @Field(() => Float, { defaultValue: DEFAULTS.batchNormMomentum, description: 'How much of the running statistics is kept at each step.' })
  batchNormMomentum!: number;
  @Field(() => PrecisionEnum, {
    defaultValue: DEFAULTS.precision,
    description:
      'Weights, optimiser, statistics, loss and evaluation are FP32 in any case. FP16 scales the loss; a step whose gradient overflows makes no update. Neither BF16 nor FP16 is faster on a CPU.',
  })
  precision!: Precision;
  @Field(() => Boolean, {
    defaultValue: DEFAULTS.recompute,
    description:
      'Computes activations again on the way back instead of keeping them: the same gradients with a tenth (B7) to two fifths (B0) of the memory per image, in about a third more time.',
  })
  recompute!: boolean;
  @Field(() => SafeInt, {
    defaultValue: DEFAULTS.seed,
    description: '0 to 2,147,483,647; decides weights, order, augmentation and dropout.',
  })
  seed!: number;
  @Field(() => AugmentationInput, { defaultValue: { preset: 'none' } }) augmentation!: AugmentationInput;
  @Field(() => Int, { defaultValue: DEFAULTS.checkpointEveryEpochs, description: 'And always after the last epoch.' })
  checkpointEveryEpochs!: number;
}
