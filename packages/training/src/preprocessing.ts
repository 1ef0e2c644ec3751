import { ops } from '@roentgen/tensorflow';
import type { Graph, Tensor } from '@roentgen/tensorflow';
import { z } from 'zod';

const perChannel = z.tuple([z.number(), z.number(), z.number()]);

/** From RGB bytes to what the network sees: (byte / scale − mean) / std per channel. Part of a checkpoint: weights mean nothing without it. */
export const PreprocessingSchema = z.strictObject({
  inputRange: z.literal('uint8'),
  scale: z.literal(255),
  mean: perChannel,
  std: perChannel,
});
export type Preprocessing = z.output<typeof PreprocessingSchema>;

/** Mean and standard deviation of ImageNet's training images, as torchvision and timm use them. */
export const IMAGENET_PREPROCESSING: Preprocessing = {
  inputRange: 'uint8',
  scale: 255,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** Done in the graph, so that images cross the border as bytes. images: [n, h, w, 3] uint8 → float32 */
export function normalizeImages(graph: Graph, images: Tensor, { scale, mean, std }: Preprocessing): Tensor {
  const offset = graph.constant(
    'float32',
    [3],
    mean.map((value) => value * scale),
  );
  const factor = graph.constant(
    'float32',
    [3],
    std.map((value) => 1 / (value * scale)),
  );
  return ops.mul(graph, ops.sub(graph, ops.cast(graph, images, 'float32'), offset), factor);
}
