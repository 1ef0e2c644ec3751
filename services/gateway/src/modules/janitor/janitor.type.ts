import { Field, ID, ObjectType } from 'type-graphql';
import type { JanitorAction, JanitorFindingKind, JanitorMode, JanitorPassStatus } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { JanitorActionEnum, JanitorFindingKindEnum, JanitorModeEnum, JanitorPassStatusEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

@ObjectType('JanitorTotal')
export class JanitorTotalType {
  @Field(() => JanitorFindingKindEnum) kind!: JanitorFindingKind;
  @Field(() => JanitorActionEnum) action!: JanitorAction;
  @Field(() => SafeInt) count!: number;
  @Field(() => SafeInt, { description: 'Of those whose size is known.' }) bytes!: number;
}

@ObjectType('JanitorFinding', { description: 'One object of the store, or one that should be in it.' })
export class JanitorFindingType {
  @Field(() => String, { description: 'Key in the object store.' }) key!: string;
  @Field(() => JanitorFindingKindEnum) kind!: JanitorFindingKind;
  @Field(() => JanitorActionEnum) action!: JanitorAction;
  @Field(() => SafeInt, { nullable: true }) bytes!: number | null;
  @Field(() => String) reason!: string;
}

@ObjectType('JanitorPass', { description: 'One look at all objects and rows of the project.' })
export class JanitorPassType {
  @Field(() => ID) id!: string;
  @Field(() => JanitorModeEnum) mode!: JanitorMode;
  @Field(() => JanitorPassStatusEnum) status!: JanitorPassStatus;
  @Field(() => Boolean, { description: 'It found more than one pass takes; another one goes on.' }) truncated!: boolean;
  @Field(() => String, { nullable: true, description: 'Why it FAILED.' }) errorMessage!: string | null;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true }) startedAt!: string | null;
  @Field(() => DateTime, { nullable: true }) finishedAt!: string | null;
}

export const JanitorPassConnection = connectionType(JanitorPassType, 'JanitorPass');
export const JanitorFindingConnection = connectionType(JanitorFindingType, 'JanitorFinding');

@ObjectType()
export class RunJanitorPayload extends Payload {
  @Field(() => JanitorPassType, { nullable: true }) pass?: JanitorPassType | null;
}
