import type { Endpoint, Session, Tensor } from '@roentgen/tensorflow';
import { InvalidBatchError } from './errors.js';

/** What the model says about some images; matrices are [count, numClasses], row by row. */
export interface Predictions {
  readonly count: number;
  readonly numClasses: number;
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;
}

export type PredictEndpoint = Endpoint<
  { readonly images: Tensor<'uint8'> },
  { readonly logits: Tensor<'float32'>; readonly probabilities: Tensor<'float32'> }
>;

/**
 * Predicts any number of images on an endpoint of fixed batch size: in blocks, the last one filled with black images. An image's
 * result does not depend on its neighbours, because statistics are the running ones.
 * @param images [count, s, s, 3] RGB bytes
 * @throws InvalidBatchError when the bytes are not count images
 */
export function predictImages(session: Session, endpoint: PredictEndpoint, images: Uint8Array, count: number): Predictions {
  const [batchSize = 0, height = 0, width = 0, channels = 0] = endpoint.feeds.images.shape;
  const numClasses = endpoint.fetches.logits.shape[1] ?? 0;
  const imageBytes = height * width * channels;
  if (images.length !== count * imageBytes) {
    throw new InvalidBatchError(
      `${count} images of ${width} × ${height} RGB pixels are ${count * imageBytes} bytes, got ${images.length}.`,
      { count, bytes: images.length },
    );
  }
  const logits = new Float32Array(count * numClasses);
  const probabilities = new Float32Array(count * numClasses);
  for (let start = 0; start < count; start += batchSize) {
    const used = Math.min(batchSize, count - start);
    let block = images.subarray(start * imageBytes, (start + used) * imageBytes);
    if (used < batchSize) {
      const filled = new Uint8Array(batchSize * imageBytes);
      filled.set(block);
      block = filled;
    }
    const result = session.run(endpoint, { images: { data: block, shape: endpoint.feeds.images.shape } });
    logits.set(result.logits.subarray(0, used * numClasses), start * numClasses);
    probabilities.set(result.probabilities.subarray(0, used * numClasses), start * numClasses);
  }
  return { count, numClasses, logits, probabilities };
}
