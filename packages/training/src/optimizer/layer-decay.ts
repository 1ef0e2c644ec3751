import type { EfficientNetSpec } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';

/**
 * Share of the learning rate that every parameter gets, layerDecay^depth: what is near the input is more general and should move less
 * (layer-wise decay: Clark et al. 2020, ELECTRA, §A; Bao et al. 2022, BEiT, §3.1 for images). The classifier has depth 0, the last block
 * 1, each block before it one more, the stem one more than the first block. The last convolution counts to the last block, as in timm.
 * @param layerDecay in (0, 1]
 * @returns in the layout of the parameters; 0 in its padding
 */
export function learningRateScales(spec: EfficientNetSpec, layerDecay: number): Float32Array {
  const scales = new Float32Array(spec.parameters.length);
  for (const entry of spec.parameters.entries) viewEntry(scales, entry).fill(layerDecay ** depthOf(spec, entry.name));
  return scales;
}

function depthOf({ blocks, stem, stemNorm, classifier }: EfficientNetSpec, parameter: string): number {
  const isOf = ({ name }: { readonly name: string }, separator: '/' | '_') => parameter.startsWith(name + separator);
  if (isOf(classifier, '/')) return 0;
  if (isOf(stem, '/') || isOf(stemNorm, '/')) return blocks.length + 1;
  const block = blocks.findIndex((candidate) => isOf(candidate, '_'));
  return block === -1 ? 1 : blocks.length - block;
}
