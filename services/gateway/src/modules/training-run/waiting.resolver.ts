import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import type { TrainingRunRecord } from '@roentgen/database';
import type { RequestContext } from '../../graphql/request-context.js';
import { TrainingRunType } from './training-run.type.js';
import { RunWaitType } from './waiting.type.js';
import { whyWaiting } from './why-waiting.js';

@Resolver(() => TrainingRunType)
export class WaitingResolver {
  @FieldResolver(() => RunWaitType, {
    nullable: true,
    description: 'Why it does not go on; null while it is worked on, and once it has ended.',
  })
  async whyWaiting(@Root() run: TrainingRunRecord, @Ctx() { loaders }: RequestContext): Promise<RunWaitType | null> {
    const isLeft = run.status !== 'PAUSING' && run.status !== 'CANCELLING';
    const attempts = isLeft ? [] : await loaders.attempts.load(run.id);
    return whyWaiting(run, attempts.find(({ endedAt }) => endedAt === null)?.workerName ?? null);
  }
}
