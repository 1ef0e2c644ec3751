import type { AugmentationRecipe } from '@roentgen/domain';
import { ops } from '@roentgen/tensorflow';
import type { Graph, Tensor } from '@roentgen/tensorflow';
import { changesIntensity, movesPixels } from './feeds.js';

export interface AugmentedImages {
  /** [n, s, s, 3] in [0, 255], not rounded; the given images themselves where the recipe changes none. */
  readonly images: Tensor;
  /** What `augmentationFeeds` gives. */
  readonly feeds: Readonly<Record<string, Tensor<'float32'>>>;
}

/**
 * Changes every image by the numbers that are fed for it: first its brightness, limited to [0, 255], then its place, with black where
 * there was nothing. What the recipe never does is not in the graph. Numbers that change nothing leave every bit of the pixels.
 * @param images [n, s, s, 3] uint8
 */
export function addAugmentation(graph: Graph, images: Tensor, ranges: AugmentationRecipe): AugmentedImages {
  const n = images.shape[0] ?? 0;
  const feeds: Record<string, Tensor<'float32'>> = {};
  let changed = images;
  if (changesIntensity(ranges)) {
    const gains = (feeds['gains'] = graph.placeholder('gradients/gains', 'float32', [n, 1, 1, 1]));
    const offsets = (feeds['offsets'] = graph.placeholder('gradients/offsets', 'float32', [n, 1, 1, 1]));
    const scaled = ops.add(graph, ops.mul(graph, ops.cast(graph, changed, 'float32'), gains), offsets);
    changed = ops.minimum(graph, ops.maximum(graph, scaled, graph.scalar(0)), graph.scalar(255));
  }
  if (movesPixels(ranges)) {
    const transforms = (feeds['transforms'] = graph.placeholder('gradients/transforms', 'float32', [n, 8]));
    changed = ops.projectiveTransform(graph, ops.cast(graph, changed, 'float32'), transforms);
  }
  return { images: changed, feeds };
}
