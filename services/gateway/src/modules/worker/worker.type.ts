import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { Device, EfficientNetVariant, SelftestLevel } from '@roentgen/domain';
import type { WORKER_HOLDINGS } from '@roentgen/database';
import { connectionType } from '../../graphql/connection.js';
import {
  CheckVerdictEnum,
  DeviceEnum,
  SelftestLevelEnum,
  SelftestVerdictEnum,
  VariantEnum,
  WorkerHoldingEnum,
  WorkerStateEnum,
} from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

type WorkerHoldingKind = (typeof WORKER_HOLDINGS)[number];

@ObjectType('SelftestCheck')
export class SelftestCheckType {
  @Field(() => String) name!: string;
  @Field(() => CheckVerdictEnum) verdict!: 'PASS' | 'FAIL' | 'SKIPPED';
  @Field(() => String, { description: 'What came out; for SKIPPED why it was not tried.' }) measured!: string;
  @Field(() => String, { description: 'What would have been good enough; empty for SKIPPED.' }) bound!: string;
}

@ObjectType('TrainingSpeed')
export class TrainingSpeedType {
  @Field(() => VariantEnum) variant!: EfficientNetVariant;
  @Field(() => Int) imageSizePx!: number;
  @Field(() => Int) batchSize!: number;
  @Field(() => Float) imagesPerSecond!: number;
  @Field(() => SafeInt, { description: 'Most memory that the process held.' }) peakBytes!: number;
}

@ObjectType('WorkerSelftest', { description: 'What was tried on the worker’s machine before it took work.' })
export class WorkerSelftestType {
  @Field(() => SelftestVerdictEnum) verdict!: 'PASS' | 'FAIL';
  @Field(() => SelftestLevelEnum) level!: SelftestLevel;
  @Field(() => DateTime, { description: 'An unchanged machine and program keep theirs over many starts.' }) at!: string;
  @Field(() => Float) seconds!: number;
  @Field(() => String, { nullable: true, description: 'Null where it could not be loaded.' }) tensorflowVersion!: string | null;
  @Field(() => [SelftestCheckType]) checks!: SelftestCheckType[];
  @Field(() => [TrainingSpeedType], { description: 'Training steps; quick tests and CPUs measure smaller images, as named.' })
  imagesPerSecond!: TrainingSpeedType[];
}

@ObjectType('WorkerHolding', { description: 'What a worker has been given and has not finished.' })
export class WorkerHoldingType {
  @Field(() => WorkerHoldingEnum) kind!: WorkerHoldingKind;
  @Field(() => ID, { nullable: true, description: 'Of TRAINING.' }) runId!: string | null;
  @Field(() => ID, { nullable: true, description: 'Of TRAINING.' }) attemptId!: string | null;
  @Field(() => ID, { nullable: true, description: 'Of all but TRAINING.' }) chunkId!: string | null;
  @Field(() => ID, { nullable: true, description: 'Of INSPECTION.' }) uploadId!: string | null;
  @Field(() => ID, { nullable: true, description: 'Of PREDICTION.' }) predictionJobId!: string | null;
  @Field(() => ID, { nullable: true, description: 'Of WEIGHTS_IMPORT.' }) weightSetId!: string | null;
}

@ObjectType('Worker', { description: 'One process on one device; workers serve all projects.' })
export class WorkerType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => String) version!: string;
  @Field(() => DeviceEnum) device!: Device;
  @Field(() => String) deviceName!: string;
  @Field(() => WorkerStateEnum) state!: string;
  @Field(() => Boolean, { description: 'Heard from within the last 10 seconds.' }) online!: boolean;
  @Field(() => ID, { nullable: true, description: 'The run it works on, where that is one of this project.' }) runId!: string | null;
  @Field(() => [WorkerHoldingType], { description: 'Work of this project only; state tells of all.' }) holds!: readonly WorkerHoldingType[];
  @Field(() => SafeInt) residentBytes!: number;
  @Field(() => String, { nullable: true, description: 'Why it is offered no training and takes no predictions; null: it is.' })
  ineligibleReason!: string | null;
  @Field(() => SafeInt, { nullable: true, description: 'What a training session on it may take; micro-batches are chosen by it.' })
  memoryBudgetBytes!: number | null;
  @Field(() => Int, { description: '0: TensorFlow’s choice.' }) intraOpThreads!: number;
  @Field(() => Int, { description: '0: TensorFlow’s choice.' }) interOpThreads!: number;
  @Field(() => Boolean, { description: 'Compiles with XLA.' }) xla!: boolean;
  @Field(() => Boolean, { description: 'Asks for repeatable kernels.' }) deterministicOps!: boolean;
  @Field(() => WorkerSelftestType, { nullable: true, description: 'Null where none was made.' }) selftest!: WorkerSelftestType | null;
  @Field(() => DateTime) startedAt!: string;
  @Field(() => DateTime) lastSeenAt!: string;
  @Field(() => DateTime, { nullable: true, description: 'Since when it gets nothing because it was drained.' }) drainedAt!: string | null;
  @Field(() => DateTime, { nullable: true, description: 'Until when workers of this name get nothing because runs failed on them.' })
  setAsideUntil!: string | null;
  @Field(() => String, { nullable: true, description: 'The runs that failed, and why.' }) setAsideReason!: string | null;
}

@ObjectType('WorkersChange', { description: 'The first has all workers, each later one those that differ from what was sent before.' })
export class WorkersChangeType {
  @Field(() => Boolean, { description: 'True of the first: what it does not name is not there.' }) snapshot!: boolean;
  @Field(() => [WorkerType]) workers!: readonly WorkerType[];
  @Field(() => [ID], { description: 'Workers of which nothing was heard for an hour.' }) gone!: readonly string[];
}

export const WorkerConnection = connectionType(WorkerType, 'Worker');

@ObjectType()
export class DrainWorkerPayload extends Payload {
  @Field(() => WorkerType, { nullable: true }) worker?: WorkerType | null;
}

@ObjectType()
export class ReadmitWorkerPayload extends Payload {
  @Field(() => WorkerType, { nullable: true }) worker?: WorkerType | null;
}
