import { Arg, Args, Ctx, FieldResolver, Mutation, Query, Resolver, Root, Subscription } from 'type-graphql';
import type { WorkerRecord } from '@roentgen/database';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { whyIdle } from './why-idle.js';
import { DrainWorkerInput, ReadmitWorkerInput } from './worker.input.js';
import { toType, type WorkerService } from './worker-service.js';
import type { WorkersChange } from './worker-feed.js';
import { DrainWorkerPayload, ReadmitWorkerPayload, WorkerConnection, WorkersChangeType, WorkerType } from './worker.type.js';

@Resolver(() => WorkerType)
export class WorkerResolver {
  constructor(private readonly service: WorkerService) {}

  @Allow('worker:read')
  @Query(() => WorkerConnection, { description: 'Last started first.' })
  workers(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<WorkerType>> {
    return this.service.list(actor, page);
  }

  @Allow('worker:control')
  @Mutation(() => DrainWorkerPayload, {
    description:
      'Gives a worker nothing more. What it trains goes on elsewhere, from a checkpoint that it saves first. Again changes nothing.',
  })
  drainWorker(
    @Arg('input', () => DrainWorkerInput) input: DrainWorkerInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<DrainWorkerPayload> {
    return this.service.drain(actor, input);
  }

  @Allow('worker:control')
  @Mutation(() => ReadmitWorkerPayload, { description: 'Gives work again to a worker that was drained or set aside.' })
  readmitWorker(
    @Arg('input', () => ReadmitWorkerInput) input: ReadmitWorkerInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<ReadmitWorkerPayload> {
    return this.service.readmit(actor, input);
  }

  @Allow('worker:read')
  @Subscription(() => WorkersChangeType, {
    description:
      'All workers heard within the last hour, then each that changed, within a second or two; who is slow gets the newest state. Figures of every heartbeat (lastSeenAt, residentBytes) are no change.',
    subscribe: ({ context }: { context: RequestContext }) => context.subscriptions.workersChanged(context.actor),
  })
  workersChanged(@Root() change: WorkersChange): WorkersChangeType {
    return { ...change, workers: change.workers.map(toType) };
  }

  @FieldResolver(() => String, { nullable: true, description: 'Why it does nothing; null while it works.' })
  whyIdle(@Root() worker: WorkerRecord): string | null {
    return whyIdle(worker);
  }
}
