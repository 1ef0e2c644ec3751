import type { EfficientNetVariant } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import type { ModelConventions, ModelVectors } from '@roentgen/efficientnet';
import { Session } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { predictImages } from './predictor.js';
import type { Predictions } from './predictor.js';
import { buildPredictionGraph } from './training-graph.js';

export interface PredictionSessionOptions {
  readonly binding: TensorFlowBinding;
  readonly variant: EfficientNetVariant;
  readonly numClasses: number;
  readonly imageSizePx: number;
  readonly batchSize: number;
  /** Those of the checkpoint; by default of the variant's authors. */
  readonly conventions?: ModelConventions;
}

/** A model that only predicts. Set its weights before the first prediction. */
export class PredictionSession {
  private constructor(
    private readonly session: Session,
    private readonly graph: ReturnType<typeof buildPredictionGraph>,
  ) {}

  static create({ binding, variant, numClasses, imageSizePx, batchSize, conventions }: PredictionSessionOptions): PredictionSession {
    const graph = buildPredictionGraph({ spec: efficientNetSpec(variant, numClasses, conventions), imageSizePx, batchSize });
    return new PredictionSession(Session.load(binding, graph.compiled), graph);
  }

  /** Takes copies. @throws FeedError when a vector has the wrong length */
  setWeights({ weights, statistics }: ModelVectors): void {
    this.session.run(this.graph.setState, { weights: vector(weights), statistics: vector(statistics) });
  }

  /** @param images [count, s, s, 3] RGB bytes; any count */
  predict(images: Uint8Array, count: number): Predictions {
    return predictImages(this.session, this.graph.predict, images, count);
  }

  close(): void {
    this.session.close();
  }
}

function vector(data: Float32Array): { data: Float32Array; shape: readonly number[] } {
  return { data, shape: [data.length] };
}
