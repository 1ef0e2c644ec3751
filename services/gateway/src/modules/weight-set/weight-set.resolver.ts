import { Arg, Args, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import { Allow } from '../../graphql/allow.js';
import { PageArgs, type Connection } from '../../graphql/connection.js';
import type { RequestContext } from '../../graphql/request-context.js';
import type { ImportWeights } from './import-weights.js';
import type { WeightSetService } from './weight-set-service.js';
import { ImportWeightsInput } from './weight-set.input.js';
import { ImportWeightsPayload, WeightSetConnection, WeightSetType } from './weight-set.type.js';

@Resolver(() => WeightSetType)
export class WeightSetResolver {
  constructor(
    private readonly service: WeightSetService,
    private readonly imports: ImportWeights,
  ) {}

  @Allow('weights:read')
  @Query(() => WeightSetType)
  weightSet(@Arg('id', () => ID) id: string, @Ctx() { actor }: RequestContext): Promise<WeightSetType> {
    return this.service.read(actor, id);
  }

  @Allow('weights:read')
  @Query(() => WeightSetConnection, { description: 'Newest first.' })
  weightSets(@Args(() => PageArgs) page: PageArgs, @Ctx() { actor }: RequestContext): Promise<Connection<WeightSetType>> {
    return this.service.list(actor, page);
  }

  @Allow('weights:read')
  @Query(() => WeightSetType, { nullable: true, description: 'The one that has not failed, else the newest that has.' })
  weightSetByName(@Arg('name', () => String) name: string, @Ctx() { actor }: RequestContext): Promise<WeightSetType | null> {
    return this.service.byName(actor, name);
  }

  @Allow('weights:import')
  @Mutation(() => ImportWeightsPayload, { description: 'A worker fetches the file and looks at it; the set is then READY or FAILED.' })
  importWeights(
    @Arg('input', () => ImportWeightsInput) input: ImportWeightsInput,
    @Ctx() { actor }: RequestContext,
  ): Promise<ImportWeightsPayload> {
    return this.imports.run(actor, input);
  }
}
