import { Arg, Args, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root, Subscription } from 'type-graphql';
import type { TrainingRunRecord } from '@roentgen/database';
import type { RunEvent, RunStatus } from '@roentgen/domain';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import { RunStatusEnum } from '../../graphql/enums.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { SafeInt } from '../../graphql/scalars.js';
import { DatasetVersionType } from '../dataset/dataset.type.js';
import { ModelType } from '../model/model.type.js';
import { toEventType } from './event-view.js';
import type { StartTrainingRun } from './start-training-run.js';
import type { TrainingRunService } from './training-run-service.js';
import type { RunCommands } from './run-commands.js';
import { CancelTrainingRunInput, PauseTrainingRunInput, ResumeTrainingRunInput, StartTrainingRunInput } from './training-run.input.js';
import {
  AttemptType,
  CancelTrainingRunPayload,
  CheckpointType,
  MetricPointType,
  PauseTrainingRunPayload,
  ResumeTrainingRunPayload,
  StartTrainingRunPayload,
  TrainingRunConnection,
  TrainingRunEventType,
  TrainingRunType,
} from './training-run.type.js';

const MAX_EVENTS = 1_000;

@Resolver(() => TrainingRunType)
export class TrainingRunResolver {
  constructor(
    private readonly service: TrainingRunService,
    private readonly start: StartTrainingRun,
    private readonly commands: RunCommands,
  ) {}

  @Allow('run:read')
  @Query(() => TrainingRunType)
  trainingRun(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<TrainingRunType> {
    return this.service.read(actor, id);
  }

  @Allow('run:read')
  @Query(() => TrainingRunConnection, { description: 'Newest first.' })
  trainingRuns(
    @Arg('status', () => RunStatusEnum, { nullable: true }) status: RunStatus | null | undefined,
    @Arg('datasetVersionId', () => ID, { nullable: true }) datasetVersionId: string | null | undefined,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { actor }: RequestContext,
  ): Promise<Connection<TrainingRunType>> {
    return this.service.list(actor, { status: status ?? null, datasetVersionId: datasetVersionId ?? null }, page);
  }

  @Allow('run:read')
  @Query(() => [TrainingRunEventType], {
    name: 'trainingRunEvents',
    description: 'Events after a sequence, in order; a flat table for BI tools.',
  })
  async readTrainingRunEvents(
    @Arg('runId', () => ID) runId: string,
    @Arg('afterSequence', () => SafeInt, { defaultValue: 0 }) afterSequence: number,
    @Arg('first', () => Int, { defaultValue: MAX_EVENTS, description: `1 to ${MAX_EVENTS}.` }) first: number,
    @Ctx() { actor }: RequestContext,
  ): Promise<TrainingRunEventType[]> {
    return (await this.service.events(actor, runId, afterSequence, { first, max: MAX_EVENTS })).map(toEventType);
  }

  @Allow('run:read')
  @Query(() => [MetricPointType], {
    description: 'Curves as flat points, sorted by name and step; long ones are thinned to the last point of each of maxPoints buckets.',
  })
  metricSeries(
    @Arg('runId', () => ID) runId: string,
    @Arg('names', () => [String], { nullable: true, description: 'At most 50; left out: every metric.' })
    names: string[] | null | undefined,
    @Arg('maxPoints', () => Int, { defaultValue: 1_000, description: 'Per name, 1 to 10,000.' }) maxPoints: number,
    @Ctx() { actor }: RequestContext,
  ): Promise<readonly MetricPointType[]> {
    return this.service.metricSeries(actor, runId, names ?? null, maxPoints);
  }

  @Allow('run:start')
  @Mutation(() => StartTrainingRunPayload)
  startTrainingRun(
    @Arg('input', () => StartTrainingRunInput) input: StartTrainingRunInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<StartTrainingRunPayload> {
    return this.start.run(actor, input);
  }

  @Allow('run:control')
  @Mutation(() => CancelTrainingRunPayload, {
    description: 'Stops at the next step. Cancelling a run that has ended, or is being cancelled, changes nothing.',
  })
  cancelTrainingRun(
    @Arg('input', () => CancelTrainingRunInput) input: CancelTrainingRunInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<CancelTrainingRunPayload> {
    return this.commands.cancel(actor, input);
  }

  @Allow('run:control')
  @Mutation(() => PauseTrainingRunPayload, {
    description:
      'Saves a checkpoint after the current step and frees the worker. Pausing a run that is paused, or is being paused, changes nothing.',
  })
  pauseTrainingRun(
    @Arg('input', () => PauseTrainingRunInput) input: PauseTrainingRunInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<PauseTrainingRunPayload> {
    return this.commands.pause(actor, input);
  }

  @Allow('run:control')
  @Mutation(() => ResumeTrainingRunPayload, {
    description: 'Queues a paused run again; it goes on from its last checkpoint. Resuming a run that is not paused changes nothing.',
  })
  resumeTrainingRun(
    @Arg('input', () => ResumeTrainingRunInput) input: ResumeTrainingRunInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<ResumeTrainingRunPayload> {
    return this.commands.resume(actor, input);
  }

  @Allow('run:read')
  @Subscription(() => TrainingRunEventType, {
    description:
      'Every event after a sequence, each once and in order, live. Ends after the last one. To go on after a broken connection give the last sequence received.',
    subscribe: ({ args, context }: { args: Record<string, unknown>; context: RequestContext }) =>
      context.subscriptions.trainingRunEvents(context.actor, String(args['runId']), Number(args['afterSequence'])),
  })
  trainingRunEvents(
    @Root() event: RunEvent,
    @Arg('runId', () => ID) _runId: string,
    @Arg('afterSequence', () => SafeInt, { defaultValue: 0 }) _afterSequence: number,
  ): TrainingRunEventType {
    return toEventType(event);
  }

  @FieldResolver(() => DatasetVersionType)
  datasetVersion(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<DatasetVersionType | null> {
    return loaders.datasetVersion.load(run.datasetVersionId);
  }

  @FieldResolver(() => [AttemptType], { description: 'Oldest first.' })
  attempts(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<readonly AttemptType[]> {
    return loaders.attempts.load(run.id);
  }

  @FieldResolver(() => [CheckpointType], { description: 'By step.' })
  checkpoints(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<readonly CheckpointType[]> {
    return loaders.checkpoints.load(run.id);
  }

  @FieldResolver(() => [MetricPointType], { description: 'The last point of each metric, sorted by name.' })
  latestMetrics(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<readonly MetricPointType[]> {
    return loaders.latestMetrics.load(run.id);
  }

  @FieldResolver(() => ModelType, { nullable: true, description: 'Set once the run has SUCCEEDED.' })
  model(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<ModelType | null> {
    return loaders.modelOfRun.load(run.id);
  }
}
