import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { EfficientNetVariant, WeightConventions, WeightLibrary, WeightSetStatus } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { VariantEnum, WeightSetStatusEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

@ObjectType('Normalization', { description: 'Per channel R, G, B: (byte / 255 − mean) / std.' })
export class NormalizationType {
  @Field(() => [Float]) mean!: readonly number[];
  @Field(() => [Float]) std!: readonly number[];
}

@ObjectType('WeightConventions', { description: 'What weights were trained with; under others the same numbers predict something else.' })
export class WeightConventionsType implements Omit<WeightConventions, 'normalization'> {
  @Field(() => String, { description: 'Of strided convolutions: same, as TensorFlow pads, or symmetric, as PyTorch does.' })
  padding!: 'same' | 'symmetric';
  @Field(() => Float) batchNormEpsilon!: number;
  @Field(() => Float, { description: 'Share of the running statistics that their training kept at each step.' }) batchNormMomentum!: number;
  @Field(() => String, { description: 'silu or relu6.' }) activation!: 'silu' | 'relu6';
  @Field(() => NormalizationType) normalization!: NormalizationType;
  @Field(() => String, { description: 'How their authors resized images, bicubic or bilinear. Here it is always antialiased bicubic.' })
  interpolation!: 'bicubic' | 'bilinear';
}

@ObjectType('WeightSet', { description: 'Weights that training can start from, imported from a file of another library.' })
export class WeightSetType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => WeightSetStatusEnum) status!: WeightSetStatus;
  @Field(() => String, { nullable: true, description: 'Where a worker fetched the file from.' }) url!: string | null;
  @Field(() => String, { nullable: true, description: 'The catalogue entry that the file is.' }) catalogueName!: string | null;
  @Field(() => VariantEnum, { nullable: true, description: 'This and what follows, once READY.' }) variant!: EfficientNetVariant | null;
  @Field(() => String, { nullable: true, description: 'Who trained and wrote the file: timm, timm-tf, torchvision, keras and the like.' })
  library!: WeightLibrary | null;
  @Field(() => WeightConventionsType, { nullable: true }) conventions!: WeightConventionsType | null;
  @Field(() => Int, { nullable: true, description: 'Of its classifier; null also when it has none.' }) classes!: number | null;
  @Field(() => SafeInt, { nullable: true, description: 'Trained numbers; running statistics are not counted.' })
  parameterCount!: number | null;
  @Field(() => String, { nullable: true, description: 'SHA-256 of the stored file (safetensors under our names), in hex.' })
  sha256!: string | null;
  @Field(() => SafeInt, { nullable: true, description: 'Size of the stored file.' }) bytes!: number | null;
  @Field(() => String, { nullable: true, description: 'SHA-256 of the file that was imported.' }) sourceSha256!: string | null;
  @Field(() => String, { nullable: true, description: 'Set where FAILED.' }) errorCode!: string | null;
  @Field(() => String, { nullable: true, description: 'The value, the rule and the fix; lists every tensor that is missing or too many.' })
  errorMessage!: string | null;
  @Field(() => DateTime) createdAt!: string;
  @Field(() => DateTime, { nullable: true }) finishedAt!: string | null;
}

export const WeightSetConnection = connectionType(WeightSetType, 'WeightSet');

@ObjectType()
export class ImportWeightsPayload extends Payload {
  @Field(() => WeightSetType, { nullable: true }) weightSet?: WeightSetType | null;
}
