import { Arg, Args, Ctx, FieldResolver, ID, Query, Resolver, Root } from 'type-graphql';
import type { ModelRecord } from '@roentgen/database';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { TrainingRunType } from '../training-run/training-run.type.js';
import type { ModelService } from './model-service.js';
import { ModelConnection, ModelFilesType, ModelType } from './model.type.js';

@Resolver(() => ModelType)
export class ModelResolver {
  constructor(private readonly service: ModelService) {}

  @Allow('model:read')
  @Query(() => ModelType)
  model(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<ModelType> {
    return this.service.read(actor, id);
  }

  @Allow('model:read')
  @Query(() => ModelConnection, { description: 'Newest first.' })
  models(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<ModelType>> {
    return this.service.list(actor, page);
  }

  @FieldResolver(() => ModelFilesType)
  files(@Root() model: ModelRecord, @Ctx() { actor }: RequestContext): Promise<ModelFilesType> {
    return this.service.files(actor, model);
  }

  @FieldResolver(() => TrainingRunType)
  run(@Root() model: ModelRecord, @Ctx() { loaders }: RequestContext): Promise<TrainingRunType | null> {
    return loaders.run.load(model.runId);
  }
}
