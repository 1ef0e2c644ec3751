import type { DatasetRecord, DatasetStore, DatasetVersionRecord, SampleRecord } from '@roentgen/database';
import { NotFoundError, parseId, type Actor, type Split } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

/** Datasets as users read them. */
export class DatasetService {
  constructor(private readonly datasets: DatasetStore) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string, field = 'id'): Promise<DatasetRecord> {
    const datasetId = parseId('ds', id, field);
    const [dataset] = await this.datasets.byIds(actor.projectId, [datasetId]);
    if (dataset === undefined) throw new NotFoundError(`There is no dataset ${datasetId} in this project.`, { datasetId });
    return dataset;
  }

  byName(actor: Actor, name: string): Promise<DatasetRecord | null> {
    return this.datasets.findByName(actor.projectId, name);
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<DatasetRecord>> {
    const page = await this.datasets.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (dataset) => dataset,
      () => this.datasets.count(actor.projectId),
    );
  }

  /** @throws NotFoundError, InvalidInputError */
  async readVersion(actor: Actor, id: string, field = 'id'): Promise<DatasetVersionRecord> {
    const datasetVersionId = parseId('dsv', id, field);
    const [version] = await this.datasets.versionsByIds(actor.projectId, [datasetVersionId]);
    if (version === undefined)
      throw new NotFoundError(`There is no dataset version ${datasetVersionId} in this project.`, { datasetVersionId });
    return version;
  }

  async listVersions(actor: Actor, id: string, args: PageArgs): Promise<Connection<DatasetVersionRecord>> {
    const dataset = await this.read(actor, id, 'datasetId');
    const page = await this.datasets.listVersions(actor.projectId, dataset.id, pageRequest(args));
    return toConnection(
      page,
      (version) => version,
      () => this.datasets.countVersions(actor.projectId, dataset.id),
    );
  }

  async samples(actor: Actor, id: string, split: Split | null, args: PageArgs): Promise<Connection<SampleRecord>> {
    const version = await this.readVersion(actor, id, 'datasetVersionId');
    const page = await this.datasets.listSamples(actor.projectId, version.id, split, pageRequest(args));
    return toConnection(
      page,
      (sample) => sample,
      () => this.datasets.countSamples(actor.projectId, version.id, split),
    );
  }
}
