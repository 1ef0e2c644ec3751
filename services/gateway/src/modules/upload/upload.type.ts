import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { UploadFileStatus, UploadPurpose, UploadStatus } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { UploadFileStatusEnum, UploadPurposeEnum, UploadStatusEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

@ObjectType('Upload', { description: 'Files on their way in: the base of a dataset version or of predictions.' })
export class UploadType {
  @Field(() => ID) id!: string;
  @Field(() => UploadStatusEnum) status!: UploadStatus;
  @Field(() => UploadPurposeEnum) purpose!: UploadPurpose;
  @Field(() => Int) fileCount!: number;
  @Field(() => Int, { description: 'Not looked at yet.' }) pendingCount!: number;
  @Field(() => Int) verifiedCount!: number;
  @Field(() => Int) rejectedCount!: number;
  @Field(() => SafeInt, { description: 'Sum of the declared sizes.' }) bytes!: number;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true, description: 'When completeUpload was called.' }) completedAt!: string | null;
  @Field(() => DateTime) expiresAt!: string;
}

@ObjectType('UploadFile')
export class UploadFileType {
  @Field(() => Int) ordinal!: number;
  @Field(() => String) fileName!: string;
  @Field(() => UploadFileStatusEnum) status!: UploadFileStatus;
  @Field(() => SafeInt) bytes!: number;
  @Field(() => String, { nullable: true, description: 'SHA-256 of the content in hex; set once VERIFIED as an image.' }) sha256!:
    string | null;
  @Field(() => String, { nullable: true }) label!: string | null;
  @Field(() => String, { nullable: true }) patient!: string | null;
  @Field(() => String, { nullable: true }) site!: string | null;
  @Field(() => String, { nullable: true }) view!: string | null;
  @Field(() => String, { nullable: true, description: 'Set where REJECTED.' }) errorCode!: string | null;
  @Field(() => String, { nullable: true }) errorMessage!: string | null;
}

export const UploadFileConnection = connectionType(UploadFileType, 'UploadFile');

@ObjectType('UploadTarget', { description: 'Where to send one file.' })
export class UploadTargetType {
  @Field(() => Int) ordinal!: number;
  @Field(() => String) fileName!: string;
  @Field(() => Boolean, { description: 'The project has these bytes: nothing to send.' }) alreadyStored!: boolean;
  @Field(() => String, {
    nullable: true,
    description: 'PUT the bytes there, without other headers, before it expires (1 hour). Null when alreadyStored.',
  })
  uploadUrl!: string | null;
}

@ObjectType()
export class CreateUploadPayload extends Payload {
  @Field(() => UploadType, { nullable: true }) upload?: UploadType | null;
}

@ObjectType()
export class AddUploadFilesPayload extends Payload {
  @Field(() => UploadType, { nullable: true }) upload?: UploadType | null;
  @Field(() => [UploadTargetType], { nullable: true, description: 'One per file, in the order sent.' }) files?: UploadTargetType[] | null;
}

@ObjectType()
export class CompleteUploadPayload extends Payload {
  @Field(() => UploadType, { nullable: true }) upload?: UploadType | null;
}
