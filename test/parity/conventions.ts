import type { EfficientNetVariant } from '@roentgen/domain';
import { LITE_CONVENTIONS, REFERENCE_CONVENTIONS } from '@roentgen/efficientnet';
import type { ModelConventions } from '@roentgen/efficientnet';
import type { Peer } from '../../scripts/setup/peers.mjs';

/** A library that has networks of the family: `timm-tf` are those of timm with TensorFlow's padding. */
export type Library = 'keras' | 'timm-tf' | 'timm' | 'torchvision';

export const PEER_OF: Readonly<Record<Library, Peer>> = { keras: 'keras', 'timm-tf': 'pytorch', timm: 'pytorch', torchvision: 'pytorch' };

/** Of networks that PyTorch users trained: (k − 1) / 2 pixels on each side. */
const SYMMETRIC: ModelConventions = { ...REFERENCE_CONVENTIONS, padding: 'symmetric', batchNormEpsilon: 1e-5 };
/** torchvision's larger ones hold weights that came from TensorFlow. */
const TENSORFLOW_EPSILON: readonly EfficientNetVariant[] = ['B5', 'B6', 'B7'];

/** timm brings the pixels of all Lite networks to −1 … 1; their authors took 127 and 128 instead of 127.5. */
const TIMM_LITE: ModelConventions = { ...LITE_CONVENTIONS, normalization: { scale: 255, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } };

/** How a library computes a variant. Stated here once more, apart from what reads weight files, so that one checks the other. */
export function conventionsOf(library: Library, variant: EfficientNetVariant): ModelConventions {
  if (variant === 'Lite0') return TIMM_LITE;
  if (library === 'keras' || library === 'timm-tf') return REFERENCE_CONVENTIONS;
  return library === 'torchvision' && TENSORFLOW_EPSILON.includes(variant) ? { ...SYMMETRIC, batchNormEpsilon: 1e-3 } : SYMMETRIC;
}
