import { Field, Float, ID, InputType, Int } from 'type-graphql';
import {
  AUGMENTATION_LIMITS,
  type AugmentationPreset,
  type ClassWeighting,
  type OptimizerKind,
  type Precision,
  type ScheduleKind,
} from '@roentgen/domain';
import {
  AugmentationPresetEnum,
  BatchNormEnum,
  CheckpointChoiceEnum,
  ClassWeightingEnum,
  FreezeLimitEnum,
  OptimizerKindEnum,
  PrecisionEnum,
  ScheduleKindEnum,
} from '../../graphql/enums.js';
import { MutationInput } from '../../graphql/input.js';
import { SafeInt } from '../../graphql/scalars.js';

const optional = { nullable: true } as const;
const takenAwayByNull = { nullable: true, description: 'null takes it away.' } as const;

@InputType({ description: 'What is left out stays, where it belongs to the new kind too.' })
export class OptimizerOverridesInput {
  @Field(() => OptimizerKindEnum, {
    nullable: true,
    description: 'ADAM and ADAMW can go on with each other’s memory, SGD only with its own.',
  })
  kind?: OptimizerKind | null;
  @Field(() => Float, optional) beta1?: number | null;
  @Field(() => Float, optional) beta2?: number | null;
  @Field(() => Float, optional) epsilon?: number | null;
  @Field(() => Float, optional) weightDecay?: number | null;
  @Field(() => Float, optional) momentum?: number | null;
  @Field(() => Boolean, optional) nesterov?: boolean | null;
}

@InputType({ description: 'What is left out stays, where it belongs to the new kind too.' })
export class ScheduleOverridesInput {
  @Field(() => ScheduleKindEnum, optional) kind?: ScheduleKind | null;
  @Field(() => Int, { nullable: true, description: 'Counted from the first step of the run that was forked, not from the fork.' })
  warmupSteps?: number | null;
  @Field(() => Float, optional) finalFraction?: number | null;
}

@InputType({ description: 'Only the end of the frozen epochs can change, and only while they last.' })
export class FreezeOverridesInput {
  @Field(() => FreezeLimitEnum, optional) until?: 'none' | 'head' | null;
  @Field(() => Int, optional) epochs?: number | null;
}

@InputType({ description: 'What is left out stays; with a preset it is that of the preset.' })
export class AugmentationOverridesInput {
  @Field(() => AugmentationPresetEnum, optional) preset?: AugmentationPreset | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.rotationDegrees}.` }) rotationDegrees?: number | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.horizontalFlip}.` }) horizontalFlip?: number | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.shiftFraction}.` }) shiftFraction?: number | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.scaleFraction}.` }) scaleFraction?: number | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.brightness}.` }) brightness?: number | null;
  @Field(() => Float, { nullable: true, description: `0 to ${AUGMENTATION_LIMITS.contrast}.` }) contrast?: number | null;
}

@InputType({
  description: 'What a fork changes; what is left out stays as it was. Refused is what would make the checkpoint mean something else.',
})
export class RecipeOverridesInput {
  @Field(() => String, { nullable: true, description: 'Only that of the checkpoint.' }) variant?: string | null;
  @Field(() => Int, { nullable: true, description: 'The network takes images of any size; its running statistics follow.' })
  imageSizePx?: number | null;
  @Field(() => Int, {
    nullable: true,
    description: 'Counted from the start of the run that was forked; the schedule ends with the last one.',
  })
  epochs?: number | null;
  @Field(() => Int, { nullable: true, description: 'With as many steps per epoch as before, and inside an epoch as it was.' })
  globalBatchSize?: number | null;
  @Field(() => Int, { nullable: true, description: 'With as many steps per epoch as before.' }) microBatchSize?: number | null;
  @Field(() => Float, optional) learningRate?: number | null;
  @Field(() => OptimizerOverridesInput, optional) optimizer?: OptimizerOverridesInput | null;
  @Field(() => ScheduleOverridesInput, optional) schedule?: ScheduleOverridesInput | null;
  @Field(() => Float, takenAwayByNull) clipNorm?: number | null;
  @Field(() => Float, { nullable: true, description: 'null takes it away; one that is new starts with the weights as they are.' })
  emaDecay?: number | null;
  @Field(() => Float, takenAwayByNull) layerDecay?: number | null;
  @Field(() => ClassWeightingEnum, optional) classWeights?: ClassWeighting | null;
  @Field(() => FreezeOverridesInput, optional) freeze?: FreezeOverridesInput | null;
  @Field(() => Float, optional) labelSmoothing?: number | null;
  @Field(() => Float, optional) dropoutRate?: number | null;
  @Field(() => Float, optional) dropConnectRate?: number | null;
  @Field(() => BatchNormEnum, { nullable: true, description: 'With as many steps per epoch as before.' }) batchNorm?:
    'batch' | 'frozen' | null;
  @Field(() => Float, optional) batchNormMomentum?: number | null;
  @Field(() => PrecisionEnum, optional) precision?: Precision | null;
  @Field(() => Boolean, optional) recompute?: boolean | null;
  @Field(() => SafeInt, { nullable: true, description: 'Inside an epoch only as it was: it decides which images are left of it.' })
  seed?: number | null;
  @Field(() => AugmentationOverridesInput, optional) augmentation?: AugmentationOverridesInput | null;
  @Field(() => Int, optional) checkpointEveryEpochs?: number | null;
}

@InputType({ description: 'Where to start: either checkpointId, or runId.' })
export class ForkTrainingRunInput extends MutationInput {
  @Field(() => ID, optional) checkpointId?: string | null;
  @Field(() => ID, optional) runId?: string | null;
  @Field(() => CheckpointChoiceEnum, { nullable: true, description: 'Which checkpoint of runId; LAST when left out.' })
  checkpoint?: 'best' | 'last' | null;
  @Field(() => RecipeOverridesInput, { defaultValue: {} }) overrides!: RecipeOverridesInput;
  @Field(() => String, { nullable: true, description: '1 to 200 characters; left out: made of the name of the run that is forked.' })
  name?: string | null;
}
