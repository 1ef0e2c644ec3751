import type { CheckpointId } from '@roentgen/domain';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { PredictionSession, decodeModel } from '@roentgen/training';
import type { CheckpointBytes, LoadedModel } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';

/** Images per session call. */
const BATCH_SIZE = 16;

/** Keeps the model that was asked for last, so that the chunks of a job load it once. */
export class ModelHost {
  private current: { readonly model: LoadedModel; readonly session: PredictionSession } | null = null;

  constructor(
    private readonly binding: TensorFlowBinding,
    private readonly control: SharedControl,
  ) {}

  loadedModel(checkpointId: CheckpointId): LoadedModel | null {
    return this.current?.model.checkpointId === checkpointId ? this.current.model : null;
  }

  /** @throws CheckpointError naming what is wrong with the files */
  loadModel(checkpointId: CheckpointId, { tensors, description }: CheckpointBytes): LoadedModel {
    const decoded = decodeModel(tensors, description);
    const { variant, classes, imageSizePx, conventions } = decoded.description;
    this.close();
    const model = { checkpointId, imageSizePx, batchSize: BATCH_SIZE, numClasses: classes.length };
    const session = PredictionSession.create({
      binding: this.binding,
      variant,
      numClasses: classes.length,
      imageSizePx,
      batchSize: BATCH_SIZE,
      conventions,
    });
    session.setWeights(decoded);
    this.current = { model, session };
    return model;
  }

  predict(checkpointId: CheckpointId, images: Uint8Array, count: number): Float32Array {
    if (this.current?.model.checkpointId !== checkpointId) throw new RangeError(`model ${checkpointId} is not loaded.`);
    const { probabilities } = this.current.session.predict(images, count);
    this.control.countProgress();
    return probabilities;
  }

  /** Makes room for something else. */
  close(): void {
    this.current?.session.close();
    this.current = null;
  }
}
