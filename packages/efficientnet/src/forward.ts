import type { Layers, Tensor } from '@roentgen/tensorflow';
import type { BlockSpec, EfficientNetSpec, SqueezeExciteSpec } from './spec.js';

/** Probabilities with which parts are left out while training; both 0 for prediction. */
export interface DropRates {
  /** Dropout before the classifier. */
  readonly dropoutRate: number;
  /** Drop-connect of the last block; earlier ones have proportionally less. */
  readonly dropConnectRate: number;
}

/** EfficientNet (Tan & Le 2019). x: [n, h, w, 3] float32, normalised → logits [n, classes] */
export function forward(nn: Layers, spec: EfficientNetSpec, x: Tensor, { dropoutRate, dropConnectRate }: DropRates): Tensor {
  let y = nn.activation(nn.batchNorm(nn.conv(x, spec.stem), spec.stemNorm)); //                        [n, h/2, w/2, stem]
  spec.blocks.forEach((block, index) => {
    y = mbConv(nn, block, y, (dropConnectRate * index) / spec.blocks.length);
  });
  y = nn.activation(nn.batchNorm(nn.conv(y, spec.top), spec.topNorm)); //                              [n, h/32, w/32, top]
  return nn.dense(nn.dropout(nn.globalAveragePool(y), dropoutRate), spec.classifier);
}

/** Mobile inverted bottleneck (Sandler et al. 2018). x: [n, h, w, inputFilters] → [n, ⌈h/stride⌉, ⌈w/stride⌉, outputFilters] */
function mbConv(nn: Layers, block: BlockSpec, x: Tensor, dropRate: number): Tensor {
  let y = x;
  if (block.expand) y = nn.activation(nn.batchNorm(nn.conv(y, block.expand.conv), block.expand.norm)); // [n, h, w, expanded]
  y = nn.activation(nn.batchNorm(nn.depthwiseConv(y, block.depthwise), block.depthwiseNorm)); //           [n, h/stride, w/stride, expanded]
  if (block.squeezeExcite) y = nn.scaleChannels(y, squeezeExcite(nn, block.squeezeExcite, y));
  y = nn.batchNorm(nn.conv(y, block.project), block.projectNorm); // no activation: a linear bottleneck
  return block.hasSkip ? nn.add(x, nn.dropConnect(y, dropRate)) : y;
}

/** How much of each channel to let through (Hu et al. 2018). [n, h, w, c] → [n, c] in (0, 1) */
function squeezeExcite(nn: Layers, { squeeze, excite }: SqueezeExciteSpec, x: Tensor): Tensor {
  return nn.sigmoid(nn.dense(nn.activation(nn.dense(nn.globalAveragePool(x), squeeze)), excite));
}
