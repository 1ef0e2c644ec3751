import type { WeightSetRecord, WeightSetStore } from '@roentgen/database';
import { ConflictError, InvalidRecipeError, NotFoundError, isId, parseId, type Actor, type RequestedRecipe } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

/** Weight sets as users read them, and as runs start from them. */
export class WeightSetService {
  constructor(private readonly weightSets: WeightSetStore) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string): Promise<WeightSetRecord> {
    const weightSetId = parseId('wts', id);
    const [found] = await this.weightSets.byIds(actor.projectId, [weightSetId]);
    if (found === undefined) throw new NotFoundError(`There is no weight set ${weightSetId} in this project.`, { weightSetId });
    return found;
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<WeightSetRecord>> {
    const page = await this.weightSets.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (weightSet) => weightSet,
      () => this.weightSets.count(actor.projectId),
    );
  }

  /** The set of that name that has not failed, else the newest that has; null when the project has none. */
  byName(actor: Actor, name: string): Promise<WeightSetRecord | null> {
    return this.weightSets.byName(actor.projectId, name);
  }

  /**
   * What the recipe's `initialWeights` mean; null for random weights.
   * @throws NotFoundError, ConflictError when it is not READY, InvalidRecipeError when it is of another variant
   */
  async forTraining(actor: Actor, { initialWeights, variant }: RequestedRecipe): Promise<WeightSetRecord | null> {
    if (initialWeights === null) return null;
    const [found] = isId('wts', initialWeights)
      ? await this.weightSets.byIds(actor.projectId, [initialWeights])
      : [await this.weightSets.byName(actor.projectId, initialWeights)];
    if (found == null) {
      const message = `There is no weight set "${initialWeights}" in this project. Import one with importWeights, or see weightSets.`;
      throw new NotFoundError(message, { initialWeights });
    }
    if (found.status !== 'READY') {
      const reason = found.errorMessage === null ? 'wait until it is READY' : found.errorMessage;
      throw new ConflictError(`Weight set "${found.name}" is ${found.status}: ${reason}`, { weightSetId: found.id, status: found.status });
    }
    if (found.variant === variant) return found;
    const message = `"${found.name}" holds weights of ${found.variant}, the recipe is for ${variant}: use variant ${found.variant} or other weights`;
    throw new InvalidRecipeError(`recipe.initialWeights: ${message}`, [{ field: 'recipe.initialWeights', message }]);
  }
}
