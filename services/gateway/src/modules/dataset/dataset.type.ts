import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { Split } from '@roentgen/domain';
import { connectionType } from '../../graphql/connection.js';
import { SplitEnum } from '../../graphql/enums.js';
import { Payload } from '../../graphql/payload.js';
import { DateTime, SafeInt } from '../../graphql/scalars.js';

@ObjectType('Dataset', { description: 'A name for a line of immutable versions.' })
export class DatasetType {
  @Field(() => ID) id!: string;
  @Field(() => String) name!: string;
  @Field(() => DateTime) createdAt!: string;
}

@ObjectType('SplitFractions')
export class SplitFractionsType {
  @Field(() => Float) train!: number;
  @Field(() => Float) val!: number;
  @Field(() => Float) test!: number;
}

@ObjectType('SplitCount', { description: 'Images and patients of one label in one split.' })
export class SplitCountType {
  @Field(() => SplitEnum) split!: Split;
  @Field(() => String) label!: string;
  @Field(() => Int) sampleCount!: number;
  @Field(() => Int) patientCount!: number;
}

@ObjectType('DatasetVersion', { description: 'One immutable state of a dataset: which image, label, patient and split.' })
export class DatasetVersionType {
  @Field(() => ID) id!: string;
  @Field(() => ID) datasetId!: string;
  @Field(() => Int, { description: 'Counts from 1 within the dataset.' }) version!: number;
  @Field(() => [String], { description: 'Sorted by code point; a label’s class index is its place here.' }) classes!: readonly string[];
  @Field(() => Int) sampleCount!: number;
  @Field(() => Int) patientCount!: number;
  @Field(() => String, { description: 'SHA-256 of the manifest in hex: two versions with the same one are the same.' })
  manifestSha256!: string;
  @Field(() => SafeInt) splitSeed!: number;
  @Field(() => SplitFractionsType, { description: 'As asked for; whole patients make the real shares differ.' })
  splitFractions!: SplitFractionsType;
  @Field(() => ID) uploadId!: string;
  @Field(() => DateTime) createdAt!: string;
}

@ObjectType('Sample', { description: 'One image of a dataset version.' })
export class SampleType {
  @Field(() => Int) ordinal!: number;
  @Field(() => String) fileName!: string;
  @Field(() => String) sha256!: string;
  @Field(() => SplitEnum) split!: Split;
  @Field(() => String) label!: string;
  @Field(() => String) patient!: string;
  @Field(() => String, { nullable: true }) site!: string | null;
  @Field(() => String, { nullable: true }) view!: string | null;
}

export const DatasetConnection = connectionType(DatasetType, 'Dataset');
export const DatasetVersionConnection = connectionType(DatasetVersionType, 'DatasetVersion');
export const SampleConnection = connectionType(SampleType, 'Sample');

@ObjectType()
export class FinalizeDatasetPayload extends Payload {
  @Field(() => DatasetVersionType, { nullable: true }) datasetVersion?: DatasetVersionType | null;
  @Field(() => Boolean, {
    nullable: true,
    description: 'False when the dataset already had a version with this very manifest: that one is given, nothing was stored.',
  })
  created?: boolean | null;
}
