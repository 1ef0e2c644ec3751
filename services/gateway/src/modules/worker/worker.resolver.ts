import { Args, Ctx, Query, Resolver } from 'type-graphql';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import type { WorkerService } from './worker-service.js';
import { WorkerConnection, type WorkerType } from './worker.type.js';

@Resolver()
export class WorkerResolver {
  constructor(private readonly service: WorkerService) {}

  @Allow('worker:read')
  @Query(() => WorkerConnection, { description: 'Last started first.' })
  workers(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<WorkerType>> {
    return this.service.list(actor, page);
  }
}
