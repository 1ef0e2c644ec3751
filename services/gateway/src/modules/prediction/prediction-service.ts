import type {
  ChunkStore,
  PredictionJobRecord,
  PredictionRecord,
  PredictionSource,
  PredictionStore,
  Queryable,
  UploadStore,
} from '@roentgen/database';
import {
  ConflictError,
  InvalidInputError,
  NotFoundError,
  newId,
  parseId,
  type Actor,
  type ObjectStore,
  type PredictionJobId,
} from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { DatasetService } from '../dataset/dataset-service.js';
import type { ModelService } from '../model/model-service.js';
import type { Repeatable } from '../repeatable.js';
import type { StartPredictionInput } from './prediction.input.js';
import type { StartPredictionPayload } from './prediction.type.js';

const CSV_URL_EXPIRES_IN_SECONDS = 15 * 60;
const PREDICTION_CHUNK_SIZE = 64;

export interface PredictionParts {
  readonly predictions: PredictionStore;
  readonly uploads: UploadStore;
  readonly chunks: ChunkStore;
  readonly models: ModelService;
  readonly datasets: DatasetService;
  readonly store: ObjectStore;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
}

/** Models applied to images: jobs are cut into chunks here, workers predict them. */
export class PredictionService {
  constructor(private readonly parts: PredictionParts) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string, field = 'id'): Promise<PredictionJobRecord> {
    const jobId = parseId('pred', id, field);
    const job = await this.parts.predictions.find(actor.projectId, jobId);
    if (job === null) throw new NotFoundError(`There is no prediction job ${jobId} in this project.`, { jobId });
    return job;
  }

  async list(actor: Actor, args: PageArgs): Promise<Connection<PredictionJobRecord>> {
    const page = await this.parts.predictions.list(actor.projectId, pageRequest(args));
    return toConnection(
      page,
      (job) => job,
      () => this.parts.predictions.count(actor.projectId),
    );
  }

  async predictions(actor: Actor, id: string, args: PageArgs): Promise<Connection<PredictionRecord>> {
    const job = await this.read(actor, id, 'jobId');
    const page = await this.parts.predictions.listPredictions(actor.projectId, job.id, pageRequest(args));
    return toConnection(
      page,
      (prediction) => prediction,
      () => Promise.resolve(job.imageCount),
    );
  }

  async csvUrl(job: PredictionJobRecord): Promise<string | null> {
    return job.csvKey === null ? null : await this.parts.store.presignGet(job.csvKey, CSV_URL_EXPIRES_IN_SECONDS, `${job.id}.csv`);
  }

  start(actor: Actor, input: StartPredictionInput): Promise<StartPredictionPayload> {
    return answer(async () => {
      const earlier = await this.parts.repeatable.earlier<PredictionJobId>(actor, 'start_prediction', input);
      if (earlier !== null) return { job: await this.read(actor, earlier) };
      const source = parseSource(input);
      const model = await this.parts.models.read(actor, input.modelId, 'modelId');
      await this.assertUsable(actor, source);
      const { id } = await this.parts.repeatable.once<PredictionJobId>(actor, 'start_prediction', input, async (tx) => {
        const job = { id: newId('pred'), projectId: actor.projectId, modelId: model.id, source, createdBy: actor.tokenId };
        const imageCount = await this.countImages(tx, actor, source);
        await this.parts.predictions.create(tx, { ...job, imageCount });
        await this.parts.chunks.createPredictionChunks(tx, {
          projectId: actor.projectId,
          jobId: job.id,
          imageCount,
          chunkSize: PREDICTION_CHUNK_SIZE,
        });
        return job.id;
      });
      this.parts.announcer.wake('chunks-created');
      return { job: await this.read(actor, id) };
    });
  }

  private async assertUsable(actor: Actor, source: PredictionSource): Promise<void> {
    if (source.kind === 'split') {
      await this.parts.datasets.readVersion(actor, source.datasetVersionId, 'datasetVersionId');
      return;
    }
    const upload = await this.parts.uploads.find(actor.projectId, source.uploadId);
    if (upload === null) throw new NotFoundError(`There is no upload ${source.uploadId} in this project.`, { uploadId: source.uploadId });
    if (upload.status !== 'READY') {
      throw new ConflictError(`Upload ${upload.id} is ${upload.status}: predictions need it READY. Call completeUpload and wait.`, {
        status: upload.status,
      });
    }
  }

  private async countImages(tx: Queryable, actor: Actor, source: PredictionSource): Promise<number> {
    const count = await this.parts.predictions.countImages(tx, actor.projectId, source);
    if (count > 0) return count;
    const [field, what] =
      source.kind === 'split'
        ? ['split', `The ${source.split} split of ${source.datasetVersionId}`]
        : ['uploadId', `Upload ${source.uploadId}`];
    throw new InvalidInputError(`${what} has no images to predict.`, [{ field, message: 'has no images' }]);
  }
}

/** @throws InvalidInputError unless exactly one source is named */
function parseSource(input: StartPredictionInput): PredictionSource {
  const { datasetVersionId, split, uploadId } = input;
  if (uploadId != null && datasetVersionId == null && split == null)
    return { kind: 'upload', uploadId: parseId('upl', uploadId, 'uploadId') };
  if (uploadId == null && datasetVersionId != null && split != null) {
    return { kind: 'split', datasetVersionId: parseId('dsv', datasetVersionId, 'datasetVersionId'), split };
  }
  throw new InvalidInputError('Name what to predict: either datasetVersionId together with split, or uploadId.', [
    { field: 'datasetVersionId', message: 'either datasetVersionId together with split, or uploadId' },
  ]);
}
