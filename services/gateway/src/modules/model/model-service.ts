import type { ModelRecord, ModelStore } from '@roentgen/database';
import { NotFoundError, parseId, type Actor } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

export class ModelService {
  constructor(private readonly models: ModelStore) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string, field = 'id'): Promise<ModelRecord> {
    const modelId = parseId('mdl', id, field);
    const [model] = await this.models.byIds(actor.projectId, [modelId]);
    if (model === undefined) throw new NotFoundError(`There is no model ${modelId} in this project.`, { modelId });
    return model;
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<ModelRecord>> {
    const page = await this.models.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (model) => model,
      () => this.models.count(actor.projectId),
    );
  }
}
