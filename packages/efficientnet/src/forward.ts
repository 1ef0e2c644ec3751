import type { ConvolutionRef, DenseRef, NormRef } from '@roentgen/tensorflow';
import type { BlockSpec, EfficientNetSpec, SqueezeExciteSpec } from './spec.js';

/** Probabilities with which parts are left out while training; both 0 for prediction. */
export interface DropRates {
  /** Dropout before the classifier. */
  readonly dropoutRate: number;
  /** Drop-connect of the last block; earlier ones have proportionally less. */
  readonly dropConnectRate: number;
}

/**
 * The layers that the family is made of, over whatever stands for a tensor: `Layers` builds TensorFlow's graph of them, the ONNX export
 * another one. So the network is written once, below.
 */
export interface NetworkLayers<T> {
  conv(x: T, ref: ConvolutionRef): T;
  depthwiseConv(x: T, ref: ConvolutionRef): T;
  batchNorm(x: T, ref: NormRef): T;
  /** The network's non-linearity, by its conventions. */
  activation(x: T): T;
  sigmoid(x: T): T;
  add(a: T, b: T): T;
  scaleChannels(x: T, factors: T): T;
  globalAveragePool(x: T): T;
  dense(x: T, ref: DenseRef): T;
  dropout(x: T, rate: number): T;
  dropConnect(x: T, rate: number): T;
  /** A part that training may compute a second time instead of keeping what is in it; elsewhere just `build(this, x)`. */
  segment(x: T, build: (nn: NetworkLayers<T>, x: T) => T): T;
}

/** EfficientNet (Tan & Le 2019). x: [n, h, w, 3] float32, normalised → logits [n, classes] */
export function forward<T>(nn: NetworkLayers<T>, spec: EfficientNetSpec, x: T, { dropoutRate, dropConnectRate }: DropRates): T {
  // Segments end where the network is narrow: a block's input has a sixth of the channels that it works with. Two blocks in one need up to
  // 13 % more memory, four up to 50 % more (B0 at 224 px).
  let y = nn.segment(x, (part, image) => part.activation(part.batchNorm(part.conv(image, spec.stem), spec.stemNorm))); // [n, h/2, w/2, stem]
  spec.blocks.forEach((block, index) => {
    y = nn.segment(y, (part, input) => mbConv(part, block, input, (dropConnectRate * index) / spec.blocks.length));
  });
  y = nn.activation(nn.batchNorm(nn.conv(y, spec.top), spec.topNorm)); //                              [n, h/32, w/32, top]
  return nn.dense(nn.dropout(nn.globalAveragePool(y), dropoutRate), spec.classifier);
}

/** Mobile inverted bottleneck (Sandler et al. 2018). x: [n, h, w, inputFilters] → [n, ⌈h/stride⌉, ⌈w/stride⌉, outputFilters] */
function mbConv<T>(nn: NetworkLayers<T>, block: BlockSpec, x: T, dropRate: number): T {
  let y = x;
  if (block.expand) y = nn.activation(nn.batchNorm(nn.conv(y, block.expand.conv), block.expand.norm)); // [n, h, w, expanded]
  y = nn.activation(nn.batchNorm(nn.depthwiseConv(y, block.depthwise), block.depthwiseNorm)); //           [n, h/stride, w/stride, expanded]
  if (block.squeezeExcite) y = nn.scaleChannels(y, squeezeExcite(nn, block.squeezeExcite, y));
  y = nn.batchNorm(nn.conv(y, block.project), block.projectNorm); // no activation: a linear bottleneck
  return block.hasSkip ? nn.add(x, nn.dropConnect(y, dropRate)) : y;
}

/** How much of each channel to let through (Hu et al. 2018). [n, h, w, c] → [n, c] in (0, 1) */
function squeezeExcite<T>(nn: NetworkLayers<T>, { squeeze, excite }: SqueezeExciteSpec, x: T): T {
  return nn.sigmoid(nn.dense(nn.activation(nn.dense(nn.globalAveragePool(x), squeeze)), excite));
}
