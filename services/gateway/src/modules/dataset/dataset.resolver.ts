import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { DatasetRecord, DatasetVersionRecord } from '@roentgen/database';
import type { Split } from '@roentgen/domain';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import { SplitEnum } from '../../graphql/enums.js';
import type { RequestContext } from '../../graphql/request-context.js';
import type { DatasetService } from './dataset-service.js';
import { FinalizeDatasetInput } from './dataset.input.js';
import {
  DatasetConnection,
  DatasetType,
  DatasetVersionConnection,
  DatasetVersionType,
  FinalizeDatasetPayload,
  SampleConnection,
  SplitCountType,
  type SampleType,
} from './dataset.type.js';
import type { FinalizeDataset } from './finalize-dataset.js';

@Resolver(() => DatasetType)
export class DatasetResolver {
  constructor(
    private readonly service: DatasetService,
    private readonly finalize: FinalizeDataset,
  ) {}

  @Allow('dataset:read')
  @Query(() => DatasetType)
  dataset(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<DatasetType> {
    return this.service.read(actor, id);
  }

  @Allow('dataset:read')
  @Query(() => DatasetType, { nullable: true, description: 'Null when the project has no dataset of that name.' })
  datasetByName(@Arg('name', () => String) name: string, @Ctx() { actor }: RequestContext): Promise<DatasetType | null> {
    return this.service.byName(actor, name);
  }

  @Allow('dataset:read')
  @Query(() => DatasetConnection, { description: 'Newest first.' })
  datasets(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<DatasetType>> {
    return this.service.list(actor, page);
  }

  @Allow('dataset:write')
  @Mutation(() => FinalizeDatasetPayload, {
    description: 'Splits the files of an upload by patient and freezes them as a dataset version.',
  })
  finalizeDataset(
    @Arg('input', () => FinalizeDatasetInput) input: FinalizeDatasetInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<FinalizeDatasetPayload> {
    return this.finalize.run(actor, input);
  }

  @FieldResolver(() => DatasetVersionType, { nullable: true })
  latestVersion(@Root() dataset: DatasetRecord, @Ctx() { loaders }: RequestContext): Promise<DatasetVersionType | null> {
    return loaders.latestVersion.load(dataset.id);
  }
}

@Resolver(() => DatasetVersionType)
export class DatasetVersionResolver {
  constructor(private readonly service: DatasetService) {}

  @Allow('dataset:read')
  @Query(() => DatasetVersionType)
  datasetVersion(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<DatasetVersionType> {
    return this.service.readVersion(actor, id);
  }

  @Allow('dataset:read')
  @Query(() => DatasetVersionConnection, { description: 'The versions of one dataset, newest first.' })
  datasetVersions(
    @Arg('datasetId', () => ID) datasetId: string,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { actor }: RequestContext,
  ): Promise<Connection<DatasetVersionType>> {
    return this.service.listVersions(actor, datasetId, page);
  }

  @Allow('dataset:read')
  @Query(() => SampleConnection, { description: 'Sorted by file name.' })
  samples(
    @Arg('datasetVersionId', () => ID) datasetVersionId: string,
    @Arg('split', () => SplitEnum, { nullable: true }) split: Split | null | undefined,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { actor }: RequestContext,
  ): Promise<Connection<SampleType>> {
    return this.service.samples(actor, datasetVersionId, split ?? null, page);
  }

  @FieldResolver(() => DatasetType)
  async dataset(@Root() version: DatasetVersionRecord, @Ctx() { loaders }: RequestContext): Promise<DatasetType | null> {
    return await loaders.dataset.load(version.datasetId);
  }

  @FieldResolver(() => [SplitCountType], { description: 'One row per split and label.' })
  splits(@Root() version: DatasetVersionRecord, @Ctx() { loaders }: RequestContext): Promise<readonly SplitCountType[]> {
    return loaders.splits.load(version.id);
  }
}
