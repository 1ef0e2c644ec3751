import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Payload } from '../../graphql/payload.js';
import { SafeInt } from '../../graphql/scalars.js';
import { TrainingRunType } from './training-run.type.js';

@ObjectType('ForkOrigin', { description: 'Where a run began that did not begin at step 0.' })
export class ForkOriginType {
  @Field(() => ID, { description: 'The run whose recipe and dataset version it has, but for the overrides.' }) runId!: string;
  @Field(() => ID, { nullable: true, description: 'Null once that checkpoint was removed; not before the fork has one of its own.' })
  checkpointId!: string | null;
  @Field(() => Int) epoch!: number;
  @Field(() => SafeInt, { description: 'Its first step is the next one.' }) step!: number;
}

@ObjectType()
export class ForkTrainingRunPayload extends Payload {
  @Field(() => TrainingRunType, { nullable: true }) run?: TrainingRunType | null;
}
