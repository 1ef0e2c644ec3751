import { Field, ID, InputType } from 'type-graphql';
import type { UploadPurpose } from '@roentgen/domain';
import { MutationInput } from '../../graphql/input.js';
import { UploadPurposeEnum } from '../../graphql/enums.js';
import { SafeInt } from '../../graphql/scalars.js';

@InputType()
export class CreateUploadInput extends MutationInput {
  @Field(() => UploadPurposeEnum, { defaultValue: 'IMAGES' }) purpose!: UploadPurpose;
}

@InputType()
export class UploadFileInput {
  @Field(() => String, { description: '1 to 1024 characters, unique in the upload.' }) fileName!: string;
  @Field(() => SafeInt, { description: 'Size, 1 byte to 64 MiB, of WEIGHTS to 1 GiB.' }) bytes!: number;
  @Field(() => String, {
    nullable: true,
    description: 'SHA-256 of the content, 64 hex digits; saves the transfer where the project has the bytes.',
  })
  sha256?: string | null;
  @Field(() => String, { nullable: true }) label?: string | null;
  @Field(() => String, { nullable: true, description: 'Whose image it is: splits never part the images of one patient.' }) patient?:
    string | null;
  @Field(() => String, { nullable: true }) site?: string | null;
  @Field(() => String, { nullable: true, description: 'Projection, such as PA or AP.' }) view?: string | null;
}

@InputType()
export class AddUploadFilesInput extends MutationInput {
  @Field(() => ID) uploadId!: string;
  @Field(() => [UploadFileInput], {
    description: '1 to 500 files, of WEIGHTS exactly 1. Taken as a whole or, with all that is wrong, not at all.',
  })
  files!: UploadFileInput[];
}

@InputType()
export class CompleteUploadInput extends MutationInput {
  @Field(() => ID) uploadId!: string;
}
