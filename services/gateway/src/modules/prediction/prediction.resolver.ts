import { Arg, Args, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { PredictionJobRecord } from '@roentgen/database';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { ModelType } from '../model/model.type.js';
import type { PredictionService } from './prediction-service.js';
import { StartPredictionInput } from './prediction.input.js';
import {
  PredictionConnection,
  PredictionJobConnection,
  PredictionJobType,
  StartPredictionPayload,
  type PredictionType,
} from './prediction.type.js';

@Resolver(() => PredictionJobType)
export class PredictionResolver {
  constructor(private readonly service: PredictionService) {}

  @Allow('prediction:read')
  @Query(() => PredictionJobType)
  predictionJob(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<PredictionJobType> {
    return this.service.read(actor, id);
  }

  @Allow('prediction:read')
  @Query(() => PredictionJobConnection, { description: 'Newest first.' })
  predictionJobs(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<PredictionJobType>> {
    return this.service.list(actor, page);
  }

  @Allow('prediction:read')
  @Query(() => PredictionConnection, { description: 'One row per image, sorted by file name.' })
  predictions(
    @Arg('jobId', () => ID) jobId: string,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { actor }: RequestContext,
  ): Promise<Connection<PredictionType>> {
    return this.service.predictions(actor, jobId, page);
  }

  @Allow('prediction:start')
  @Mutation(() => StartPredictionPayload)
  startPrediction(
    @Arg('input', () => StartPredictionInput) input: StartPredictionInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<StartPredictionPayload> {
    return this.service.start(actor, input);
  }

  @FieldResolver(() => Int, { description: 'Images predicted so far.' })
  doneCount(@Root() job: PredictionJobRecord, @Ctx() { loaders }: RequestContext): Promise<number> {
    return loaders.doneCount.load(job.id);
  }

  @FieldResolver(() => [String], {
    description: 'What computed it so far, with its version, such as `onnxruntime 1.30.0`; several where workers differ.',
  })
  engines(@Root() job: PredictionJobRecord, @Ctx() { loaders }: RequestContext): Promise<readonly string[]> {
    return loaders.engines.load(job.id);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Where to GET the CSV (File, Label, probabilities, model, dataset version) for 15 minutes; null until SUCCEEDED.',
  })
  csvUrl(@Root() job: PredictionJobRecord): Promise<string | null> {
    return this.service.csvUrl(job);
  }

  @FieldResolver(() => ModelType)
  model(@Root() job: PredictionJobRecord, @Ctx() { loaders }: RequestContext): Promise<ModelType | null> {
    return loaders.model.load(job.modelId);
  }
}
