import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { JanitorPassRecord } from '@roentgen/database';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import { RunJanitorInput } from './janitor.input.js';
import type { JanitorService } from './janitor-service.js';
import {
  JanitorFindingConnection,
  JanitorPassConnection,
  JanitorPassType,
  JanitorTotalType,
  RunJanitorPayload,
  type JanitorFindingType,
} from './janitor.type.js';

@Resolver(() => JanitorPassType)
export class JanitorResolver {
  constructor(private readonly service: JanitorService) {}

  @Allow('janitor:read')
  @Query(() => JanitorPassType)
  janitorPass(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<JanitorPassType> {
    return this.service.read(actor, id);
  }

  @Allow('janitor:read')
  @Query(() => JanitorPassConnection, { description: 'Those that were asked for, newest first; kept for 30 days.' })
  janitorPasses(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<JanitorPassType>> {
    return this.service.list(actor, page);
  }

  @Allow('janitor:run')
  @Mutation(() => RunJanitorPayload, {
    description:
      'Has a coordinator look for objects of this project that nobody needs, and for rows whose object is missing. A dry run unless told to delete.',
  })
  runJanitor(@Arg('input', () => RunJanitorInput) input: RunJanitorInput, @Ctx() { actor }: RequestContext): Promise<RunJanitorPayload> {
    return this.service.run(actor, input);
  }

  @FieldResolver(() => [JanitorTotalType], { description: 'By kind and action; grows until the pass has ended.' })
  totals(@Root() pass: JanitorPassRecord): Promise<readonly JanitorTotalType[]> {
    return this.service.totals(pass.id);
  }

  @FieldResolver(() => JanitorFindingConnection, { description: 'In the order in which they were found.' })
  findings(@Root() pass: JanitorPassRecord, @Args(() => PageArgs) page: PageArgs): Promise<Connection<JanitorFindingType>> {
    return this.service.findings(pass.id, page);
  }
}
