import { normalizationTerms } from '@roentgen/efficientnet';
import type { ModelConventions, Normalization } from '@roentgen/efficientnet';
import { ops } from '@roentgen/tensorflow';
import type { Graph, Tensor } from '@roentgen/tensorflow';
import { z } from 'zod';

const perChannel = z.tuple([z.number(), z.number(), z.number()]);

export const NormalizationSchema = z.strictObject({
  scale: z.number().positive(),
  mean: perChannel,
  std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
});

/** Part of a checkpoint: the same weights predict something else under other conventions. */
export const ModelConventionsSchema: z.ZodType<ModelConventions> = z.strictObject({
  padding: z.enum(['same', 'symmetric']),
  batchNormEpsilon: z.number().positive(),
  activation: z.enum(['silu', 'relu6']),
  normalization: NormalizationSchema,
  interpolation: z.literal('bicubic'),
});

/** Done in the graph, so that images cross the border as bytes. images: [n, h, w, 3] uint8 → float32 */
export function normalizeImages(graph: Graph, images: Tensor, normalization: Normalization): Tensor {
  const { offset, factor } = normalizationTerms(normalization);
  const centred = ops.sub(graph, ops.cast(graph, images, 'float32'), graph.constant('float32', [3], offset));
  return ops.mul(graph, centred, graph.constant('float32', [3], factor));
}
