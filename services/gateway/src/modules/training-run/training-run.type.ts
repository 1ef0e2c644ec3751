import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { AttemptStatus } from '@roentgen/database';
import type { FailureCause, MetricKind, RunEventKind, RunStatus } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { AttemptStatusEnum, FailureCauseEnum, MetricKindEnum, RunEventKindEnum, RunStatusEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';
import { TrainingRecipeType } from './recipe.type.js';

@ObjectType('TrainingRun', { description: 'One recipe on one dataset version.' })
export class TrainingRunType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => RunStatusEnum) status!: RunStatus;
  @Field(() => String, { nullable: true, description: 'Why it is in this state, as a stable code.' }) statusCode!: string | null;
  @Field(() => String, { nullable: true }) statusMessage!: string | null;
  @Field(() => ID) datasetVersionId!: string;
  @Field(() => TrainingRecipeType) recipe!: TrainingRecipeType;
  @Field(() => Int, { description: 'Counts from 1; 0 before the first.' }) epoch!: number;
  @Field(() => Int) epochs!: number;
  @Field(() => SafeInt, { description: 'Optimiser updates that are committed, at least.' }) committedStep!: number;
  @Field(() => SafeInt, { nullable: true, description: 'Known once a worker has planned the run.' }) totalSteps!: number | null;
  @Field(() => SafeInt, { description: 'Sequence of the newest event.' }) headSequence!: number;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true }) startedAt!: string | null;
  @Field(() => DateTime, { nullable: true }) finishedAt!: string | null;
}

@ObjectType('Attempt', { description: 'One try of one worker at a run.' })
export class AttemptType {
  @Field(() => ID) id!: string;
  @Field(() => Int, { description: 'Counts from 1 within the run.' }) number!: number;
  @Field(() => AttemptStatusEnum) status!: AttemptStatus;
  @Field(() => ID) workerId!: string;
  @Field(() => String) workerName!: string;
  @Field(() => FailureCauseEnum, {
    nullable: true,
    description: 'Why it ended before the run did; decides whether the run is tried again.',
  })
  cause!: FailureCause | null;
  @Field(() => SafeInt, { description: 'Newest step that is recorded of it.' }) lastStep!: number;
  @Field(() => Boolean, { description: 'It brought the run further than any attempt before; such a one is not held against the run.' })
  progressed!: boolean;
  @Field(() => String, { nullable: true }) causeCode!: string | null;
  @Field(() => String, { nullable: true }) causeMessage!: string | null;
  @Field(() => DateTime) startedAt!: string;
  @Field(() => DateTime, { nullable: true }) endedAt!: string | null;
}

@ObjectType('Checkpoint', { description: 'Everything needed to go on from a step.' })
export class CheckpointType {
  @Field(() => ID) id!: string;
  @Field(() => ID) attemptId!: string;
  @Field(() => Int) epoch!: number;
  @Field(() => SafeInt) step!: number;
  @Field(() => SafeInt) bytes!: number;
  @Field(() => String) sha256!: string;
  @Field(() => DateTime) createdAt!: string;
}

@ObjectType('MetricPoint', { description: 'One measured number of a run.' })
export class MetricPointType {
  @Field(() => String, { description: 'Such as train/loss or val/accuracy.' }) name!: string;
  @Field(() => SafeInt) step!: number;
  @Field(() => Int, { nullable: true }) epoch!: number | null;
  @Field(() => Float, { nullable: true, description: 'Null unless kind is FINITE.' }) value!: number | null;
  @Field(() => MetricKindEnum) kind!: MetricKind;
  @Field(() => DateTime) occurredAt!: string;
}

@ObjectType('EventMetric', { description: 'A number that an event carries; its step is that of the event.' })
export class EventMetricType {
  @Field(() => String) name!: string;
  @Field(() => Float, { nullable: true }) value!: number | null;
  @Field(() => MetricKindEnum) kind!: MetricKind;
}

@ObjectType('TrainingRunEvent', { description: 'One fact about a run; sequences count 1, 2, 3 … without a gap.' })
export class TrainingRunEventType {
  @Field(() => ID) runId!: string;
  @Field(() => SafeInt) sequence!: number;
  @Field(() => String, { description: 'Names the fact: unique within the run.' }) eventId!: string;
  @Field(() => RunEventKindEnum) kind!: RunEventKind;
  @Field(() => DateTime, { description: 'By the clock of whoever saw it happen.' }) occurredAt!: string;
  @Field(() => DateTime) recordedAt!: string;
  @Field(() => ID, { nullable: true }) attemptId!: string | null;
  @Field(() => ID, { nullable: true }) workerId!: string | null;
  @Field(() => Int, { nullable: true }) epoch!: number | null;
  @Field(() => SafeInt, { nullable: true, description: 'Optimiser updates committed so far.' }) step!: number | null;
  @Field(() => RunStatusEnum, { nullable: true, description: 'The state that the run has from here on, where it changed.' })
  status!: RunStatus | null;
  @Field(() => String, { nullable: true }) message!: string | null;
  @Field(() => [EventMetricType]) metrics!: readonly EventMetricType[];
  @Field(() => ID, { nullable: true }) checkpointId!: string | null;
  @Field(() => String, { nullable: true }) failureCode!: string | null;
}

export const TrainingRunConnection = connectionType(TrainingRunType, 'TrainingRun');

@ObjectType()
export class StartTrainingRunPayload extends Payload {
  @Field(() => TrainingRunType, { nullable: true }) run?: TrainingRunType | null;
}

@ObjectType()
export class CancelTrainingRunPayload extends Payload {
  @Field(() => TrainingRunType, { nullable: true }) run?: TrainingRunType | null;
}

@ObjectType()
export class PauseTrainingRunPayload extends Payload {
  @Field(() => TrainingRunType, { nullable: true }) run?: TrainingRunType | null;
}

@ObjectType()
export class ResumeTrainingRunPayload extends Payload {
  @Field(() => TrainingRunType, { nullable: true }) run?: TrainingRunType | null;
}
