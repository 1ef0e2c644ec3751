import type { ModelRecord, ModelStore } from '@roentgen/database';
import { NotFoundError, assertCan, parseId, type Actor, type ObjectStore } from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import type { ModelFilesType } from './model.type.js';

const FILE_URL_EXPIRES_IN_SECONDS = 15 * 60;

export class ModelService {
  constructor(
    private readonly models: ModelStore,
    private readonly store: Pick<ObjectStore, 'presignGet'>,
  ) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string, field = 'id'): Promise<ModelRecord> {
    const modelId = parseId('mdl', id, field);
    const [model] = await this.models.byIds(actor.projectId, [modelId]);
    if (model === undefined) throw new NotFoundError(`There is no model ${modelId} in this project.`, { modelId });
    return model;
  }

  /** @throws ForbiddenError, NotFoundError */
  async files(actor: Actor, { id }: ModelRecord): Promise<ModelFilesType> {
    assertCan(actor, 'model:export', actor.projectId);
    const key = await this.models.tensorsKey(actor.projectId, id);
    if (key === null) throw new NotFoundError(`There is no model ${id} in this project.`, { modelId: id });
    const [tensorsUrl, descriptionUrl] = await Promise.all([
      this.store.presignGet(key, FILE_URL_EXPIRES_IN_SECONDS, `${id}.safetensors`),
      this.store.presignGet(objectKeys.checkpointDescription(key), FILE_URL_EXPIRES_IN_SECONDS, `${id}.json`),
    ]);
    return { tensorsUrl, descriptionUrl };
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
