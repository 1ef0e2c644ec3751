import { Field, ID, InputType } from 'type-graphql';
import { EFFICIENTNET_VARIANT_NAMES, WEIGHT_LIBRARIES } from '@roentgen/domain';
import { MutationInput } from '../../graphql/input.js';

@InputType({
  description:
    'Where the file is: uploadId or url; or catalogueName alone, and a worker fetches it. With uploadId or url, catalogueName says which published file it is.',
})
export class ImportWeightsInput extends MutationInput {
  @Field(() => String, {
    description: '1 to 200 characters that do not begin with wts_; unique among the sets of the project that have not failed.',
  })
  name!: string;
  @Field(() => ID, { nullable: true, description: 'An OPEN upload of the purpose WEIGHTS whose file was sent.' }) uploadId?: string | null;
  @Field(() => String, {
    nullable: true,
    description: 'http or https, to a public address unless the workers are set otherwise (WORKER_WEIGHTS_PRIVATE_ADDRESSES).',
  })
  url?: string | null;
  @Field(() => String, { nullable: true, description: 'Name of a published file, such as lite0-imagenet.' }) catalogueName?: string | null;
  @Field(() => String, { nullable: true, description: `One of ${EFFICIENTNET_VARIANT_NAMES.join(', ')}; left out: told from the file.` })
  variant?: string | null;
  @Field(() => String, {
    nullable: true,
    description: `One of ${WEIGHT_LIBRARIES.join(', ')}; left out: told from the file, which cannot tell timm from timm-tf.`,
  })
  library?: string | null;
  @Field(() => String, { nullable: true, description: 'Of the file, 64 hex digits: another one is refused.' }) sha256?: string | null;
}
