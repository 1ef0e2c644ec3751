import type { CheckpointId } from '@roentgen/domain';
import { decodeModel } from '@roentgen/training';
import type { CheckpointBytes, LoadedModel } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';
import { createPredictionEngine } from './prediction-engine.js';
import type { PredictionEngine, PredictionEngineOptions } from './prediction-engine.js';

/** Images that the networking thread hands over at once. */
const BATCH_SIZE = 16;

/** Keeps the model that was asked for last, so that the chunks of a job load it once. */
export class ModelHost {
  private current: { readonly model: LoadedModel; readonly engine: PredictionEngine } | null = null;

  constructor(
    private readonly options: Omit<PredictionEngineOptions, 'batchSize'>,
    private readonly control: SharedControl,
  ) {}

  loadedModel(checkpointId: CheckpointId): LoadedModel | null {
    return this.current?.model.checkpointId === checkpointId ? this.current.model : null;
  }

  /** @throws CheckpointError naming what is wrong with the files */
  async loadModel(checkpointId: CheckpointId, { tensors, description }: CheckpointBytes): Promise<LoadedModel> {
    const decoded = decodeModel(tensors, description);
    const { classes, imageSizePx } = decoded.description;
    await this.close();
    const engine = await createPredictionEngine(decoded, { ...this.options, batchSize: BATCH_SIZE });
    const model = { checkpointId, imageSizePx, batchSize: BATCH_SIZE, numClasses: classes.length, engine: engine.name };
    this.current = { model, engine };
    return model;
  }

  async predict(checkpointId: CheckpointId, images: Uint8Array, count: number): Promise<Float32Array> {
    if (this.current?.model.checkpointId !== checkpointId) throw new RangeError(`model ${checkpointId} is not loaded.`);
    const { probabilities } = await this.current.engine.predict(images, count);
    this.control.countProgress();
    return probabilities;
  }

  /** Makes room for something else. */
  async close(): Promise<void> {
    const { current } = this;
    this.current = null;
    await current?.engine.close();
  }
}
