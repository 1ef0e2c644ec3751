import { Field, ID, ObjectType } from 'type-graphql';
import type { Device } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { DeviceEnum, WorkerStateEnum } from '../../graphql/enums.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

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
  @Field(() => SafeInt) residentBytes!: number;
  @Field(() => DateTime) startedAt!: string;
  @Field(() => DateTime) lastSeenAt!: string;
}

export const WorkerConnection = connectionType(WorkerType, 'Worker');
