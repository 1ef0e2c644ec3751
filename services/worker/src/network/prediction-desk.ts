import type { ObjectStore } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { ChunkOutcome, PredictChunkWork, PredictedImage } from '@roentgen/protocol';
import { NonFinitePredictionError } from '../errors.js';
import type { ComputeFunctions, LoadedModel, Remote, SlotBatch } from '../rpc.js';
import { readCheckpoint } from './attempt.js';
import { BatchPrefetcher } from './batch-prefetcher.js';
import type { ImageSource } from './image-source.js';
import type { PatientOptions } from './patience.js';
import { SlotRing, type Slot } from './slot-ring.js';

export type ModelOnCompute = Pick<Remote<ComputeFunctions>, 'loadedModel' | 'loadModel' | 'predict'>;

export interface PredictionDeskOptions {
  readonly store: Pick<ObjectStore, 'get'>;
  readonly images: Pick<ImageSource, 'decode'>;
  readonly compute: ModelOnCompute;
  readonly logger: Logger;
  /** @see PatientOptions.inHurry */
  readonly inHurry?: () => boolean;
}

/** Slots for prediction: one that is computed on, one that is filled. */
const SLOTS = 2;

/** Predicts one chunk at a time with the model that the compute thread has in memory, loading it where it is another. */
export class PredictionDesk {
  private ring: { readonly name: string; readonly slots: SlotRing } | null = null;

  private readonly patience: PatientOptions;

  constructor(private readonly options: PredictionDeskOptions) {
    const { logger, inHurry } = options;
    this.patience = { logger, ...(inHurry && { inHurry }) };
  }

  /** @throws ObjectMissingError, ObjectCorruptError, UnavailableError, and the errors of loading a checkpoint */
  async predict(work: PredictChunkWork): Promise<ChunkOutcome> {
    const model = await this.model(work);
    const ring = this.ringFor(model);
    const end = Math.ceil(work.images.length / model.batchSize);
    const batches = new BatchPrefetcher({ ring, first: 0, end, fill: (index, slot) => this.fill(work, model, index, slot) });
    const predicted: PredictedImage[] = [];
    try {
      for (let index = 0; index < end; index++) {
        const { slot, microBatches } = await batches.take(index);
        const { images } = microBatches[0]!;
        const ofBatch = work.images.slice(index * model.batchSize, (index + 1) * model.batchSize);
        const probabilities = await this.options.compute.predict(model.checkpointId, images, ofBatch.length);
        ring.release(slot);
        predicted.push(
          ...ofBatch.map((image, i) => predictionOf(image, probabilities.subarray(i * model.numClasses, (i + 1) * model.numClasses))),
        );
      }
      return { kind: 'predicted', images: predicted, engine: model.engine };
    } catch (error) {
      // Some slots may still be filled: they are not used again.
      this.ring = null;
      batches.close();
      throw error;
    }
  }

  /** The same slots for all chunks of a model: each allocation reserves address space that only the garbage collector gives back. */
  private ringFor({ batchSize, imageSizePx }: LoadedModel): SlotRing {
    const name = `${batchSize} × ${imageSizePx} px`;
    if (this.ring?.name === name) return this.ring.slots;
    const slots = new SlotRing(SLOTS, { microBatches: 1, microBatchSize: batchSize, imageBytes: imageSizePx ** 2 * 3 });
    this.ring = { name, slots };
    return slots;
  }

  private async model({ checkpoint }: PredictChunkWork): Promise<LoadedModel> {
    const { compute, store } = this.options;
    const loaded = await compute.loadedModel(checkpoint.checkpointId);
    if (loaded) return loaded;
    return await compute.loadModel(checkpoint.checkpointId, await readCheckpoint(store, checkpoint, this.patience));
  }

  private async fill(work: PredictChunkWork, model: LoadedModel, index: number, slot: Slot): Promise<SlotBatch> {
    const { images: source } = this.options;
    const images = work.images.slice(index * model.batchSize, (index + 1) * model.batchSize);
    const target = slot.microBatches[0]!;
    const imageBytes = model.imageSizePx ** 2 * 3;
    await Promise.all(
      images.map(async ({ sha256, fileName }, i) => {
        target.images.set(
          await source.decode({ projectId: work.projectId, sha256, fileName }, model.imageSizePx, this.patience),
          i * imageBytes,
        );
      }),
    );
    const filled = target.images.subarray(0, images.length * imageBytes);
    return { slot: slot.index, microBatches: [{ ...target, images: filled, sampleIds: images.map(({ fileName }) => fileName) }] };
  }
}

type Image = PredictChunkWork['images'][number];

/** @throws NonFinitePredictionError: a model with broken weights says nothing about an image */
function predictionOf({ ordinal, fileName }: Image, row: Float32Array): PredictedImage {
  const probabilities = [...row];
  if (probabilities.every((p) => Number.isFinite(p)))
    return { ordinal, probabilities: probabilities.map((p) => Math.min(1, Math.max(0, p))) };
  throw new NonFinitePredictionError(
    `the model's probabilities for ${fileName} are ${probabilities.join(', ')}: its weights are not finite. Use another checkpoint.`,
    { ordinal, fileName },
  );
}
