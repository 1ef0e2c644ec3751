import { only } from '../graph.js';
import type { Graph } from '../graph.js';
import type { Tensor } from '../tensor.js';
import { expectShape, rank4, stringAttribute, typeAttribute } from './attributes.js';

/**
 * Resamples every image along its own projective map, bilinearly; what lies outside is `fill`. Pixel (x, y) of the output, counted from
 * the middle of the first one, is read at ((a₀x + a₁y + a₂) / k, (b₀x + b₁y + b₂) / k) of the input with k = c₀x + c₁y + 1.
 *
 * Has kernels for CPU and GPU, and no gradient here: images are no parameters.
 *
 * @param x [n, h, w, c]
 * @param transforms [n, 8] float32: a₀ a₁ a₂ b₀ b₁ b₂ c₀ c₁ of each image
 * @returns the shape of x
 */
export function projectiveTransform(graph: Graph, x: Tensor, transforms: Tensor, fill = 0): Tensor {
  const op = 'ImageProjectiveTransformV3';
  const [n, height, width] = rank4(op, 'x', x);
  expectShape(op, 'transforms', transforms, [n, 8]);
  const attributes = {
    dtype: typeAttribute(x.dtype),
    interpolation: stringAttribute('BILINEAR'),
    fill_mode: stringAttribute('CONSTANT'),
  };
  const inputs = [x, transforms, graph.ints([height, width]), graph.scalar(fill)];
  return only(graph.addNode(op, inputs, attributes, [{ dtype: x.dtype, shape: x.shape }]));
}
