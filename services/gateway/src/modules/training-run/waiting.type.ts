import { Field, ID, ObjectType } from 'type-graphql';
import type { WaitCode, WorkerObstacleCode } from '@roentgen/domain';
import { WaitCodeEnum, WorkerObstacleEnum } from '../../graphql/enums.js';
import { DateTime } from '../../graphql/scalars.js';

@ObjectType('WorkerObstacle', { description: 'What keeps one worker from a run.' })
export class WorkerObstacleType {
  @Field(() => ID) workerId!: string;
  @Field(() => String) name!: string;
  @Field(() => WorkerObstacleEnum) code!: WorkerObstacleCode;
  @Field(() => String, { description: 'Goes on from the name: `was drained.`' }) message!: string;
}

@ObjectType('RunWait', { description: 'Why a run does not go on.' })
export class RunWaitType {
  @Field(() => WaitCodeEnum) code!: WaitCode;
  @Field(() => String) message!: string;
  @Field(() => DateTime, { nullable: true, description: 'When it goes on by itself, where that is known.' }) until!: string | null;
  @Field(() => [WorkerObstacleType], {
    description: 'Of at most 20 workers why it is not given to them; empty where it is not about workers.',
  })
  workers!: readonly WorkerObstacleType[];
}
