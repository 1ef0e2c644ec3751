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

/** Images that are predicted in one call. */
export interface ImageBlock {
  /** [batchSize, s, s, 3] RGB bytes; what is missing at the end is black. */
  readonly images: Uint8Array;
  /** Place of its first image among all. */
  readonly start: number;
  /** Images that are not filling, 1 to batchSize. */
  readonly used: number;
}

/**
 * Any number of images as blocks of one size. An image's result does not depend on its neighbours, because statistics are the running ones;
 * one shape for all calls makes it not depend on how many there are either.
 * @param images [count, s, s, 3] RGB bytes
 * @throws InvalidBatchError when the bytes are not count images
 */
export function imageBlocks(
  images: Uint8Array,
  count: number,
  { batchSize, imageSizePx }: { readonly batchSize: number; readonly imageSizePx: number },
): ImageBlock[] {
  const imageBytes = imageSizePx * imageSizePx * 3;
  if (images.length !== count * imageBytes) {
    throw new InvalidBatchError(
      `${count} images of ${imageSizePx} × ${imageSizePx} RGB pixels are ${count * imageBytes} bytes, got ${images.length}.`,
      { count, bytes: images.length },
    );
  }
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, index) => {
    const start = index * batchSize;
    const used = Math.min(batchSize, count - start);
    const block = images.subarray(start * imageBytes, (start + used) * imageBytes);
    if (used === batchSize) return { images: block, start, used };
    const filled = new Uint8Array(batchSize * imageBytes);
    filled.set(block);
    return { images: filled, start, used };
  });
}

/** Predictions that are filled in block by block. */
export class PredictionRows implements Predictions {
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;

  constructor(
    readonly count: number,
    readonly numClasses: number,
  ) {
    this.logits = new Float32Array(count * numClasses);
    this.probabilities = new Float32Array(count * numClasses);
  }

  /** Takes the rows of a block's images and leaves those of the filling. */
  set({ start, used }: ImageBlock, result: Pick<Predictions, 'logits' | 'probabilities'>): void {
    this.logits.set(result.logits.subarray(0, used * this.numClasses), start * this.numClasses);
    this.probabilities.set(result.probabilities.subarray(0, used * this.numClasses), start * this.numClasses);
  }
}

/** Predicts on an endpoint of fixed batch size. @throws InvalidBatchError when the bytes are not count images */
export function predictImages(session: Session, endpoint: PredictEndpoint, images: Uint8Array, count: number): Predictions {
  const { shape } = endpoint.feeds.images;
  const [batchSize = 0, imageSizePx = 0] = shape;
  const rows = new PredictionRows(count, endpoint.fetches.logits.shape[1] ?? 0);
  for (const block of imageBlocks(images, count, { batchSize, imageSizePx })) {
    rows.set(block, session.run(endpoint, { images: { data: block.images, shape } }));
  }
  return rows;
}
