import { Arg, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import type { TrainingRunRecord } from '@roentgen/database';
import type { CheckpointId, RunId } from '@roentgen/domain';
import { Allow } from '../../graphql/allow.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { ForkTrainingRunInput } from './fork.input.js';
import type { ForkTrainingRun } from './fork-training-run.js';
import { ForkOriginType, ForkTrainingRunPayload } from './fork.type.js';
import { CheckpointType, TrainingRunType } from './training-run.type.js';

@Resolver(() => TrainingRunType)
export class ForkResolver {
  constructor(private readonly fork: ForkTrainingRun) {}

  @Allow('run:start')
  @Mutation(() => ForkTrainingRunPayload, {
    description:
      'A new run on the same dataset version that goes on from a checkpoint, with some of the recipe changed. Without overrides it makes the very steps that the run would have made. The checkpoint stays until the fork has one of its own.',
  })
  forkTrainingRun(
    @Arg('input', () => ForkTrainingRunInput) input: ForkTrainingRunInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<ForkTrainingRunPayload> {
    return this.fork.run(actor, input);
  }

  @FieldResolver(() => ForkOriginType, { nullable: true, description: 'Null for a run that began at step 0.' })
  forkedFrom(@Root() run: TrainingRunRecord): ForkOriginType | null {
    return run.forkedFrom;
  }

  @FieldResolver(() => [TrainingRunType], { description: 'Runs that were forked from this one: the 100 newest, newest first.' })
  forks(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<readonly TrainingRunRecord[]> {
    return loaders.forks.load(run.id);
  }
}

@Resolver(() => ForkOriginType)
export class ForkOriginResolver {
  @FieldResolver(() => TrainingRunType)
  run(@Root() { runId }: { readonly runId: RunId }, @Ctx() { loaders }: RequestContext): Promise<TrainingRunRecord | null> {
    return loaders.run.load(runId);
  }

  @FieldResolver(() => CheckpointType, { nullable: true })
  checkpoint(
    @Root() { checkpointId }: { readonly checkpointId: CheckpointId | null },
    @Ctx() { loaders }: RequestContext,
  ): Promise<CheckpointType | null> {
    return checkpointId === null ? Promise.resolve(null) : loaders.checkpoint.load(checkpointId);
  }
}
