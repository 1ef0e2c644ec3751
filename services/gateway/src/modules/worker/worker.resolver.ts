import { Arg, Args, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { WorkerRecord } from '@roentgen/database';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { whyIdle } from './why-idle.js';
import { DrainWorkerInput, ReadmitWorkerInput } from './worker.input.js';
import type { WorkerService } from './worker-service.js';
import { DrainWorkerPayload, ReadmitWorkerPayload, WorkerConnection, WorkerType } from './worker.type.js';

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

  @FieldResolver(() => String, { nullable: true, description: 'Why it does nothing; null while it works.' })
  whyIdle(@Root() worker: WorkerRecord): string | null {
    return whyIdle(worker);
  }
}
