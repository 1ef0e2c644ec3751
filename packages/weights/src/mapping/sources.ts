import type { EfficientNetVariant, WeightConventions, WeightLibrary } from '@roentgen/domain';
import type { ModelConventions } from '@roentgen/efficientnet';

/** How a library names an EfficientNet's tensors. */
export type WeightNaming = 'torchvision' | 'timm' | 'keras' | 'efficientnet-pytorch';

/** What a set of weights was trained with. */
export type WeightFacts = WeightConventions;

export interface WeightSourceDescription extends WeightFacts {
  readonly naming: WeightNaming;
  /** Whether blocks have squeeze-and-excitation; tells the Lite networks apart. */
  readonly squeezeExcite: boolean;
  /** Where single variants differ. */
  readonly variants?: Partial<Record<EfficientNetVariant, Partial<WeightFacts>>>;
}

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
/** (byte − 127) / 128 */
const LITE = { mean: [127 / 255, 127 / 255, 127 / 255], std: [128 / 255, 128 / 255, 128 / 255] } as const;
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

const TENSORFLOW = {
  padding: 'same',
  batchNormEpsilon: 1e-3,
  batchNormMomentum: 0.99,
  activation: 'silu',
  normalization: IMAGENET,
  interpolation: 'bicubic',
  squeezeExcite: true,
} as const;
const PYTORCH = { ...TENSORFLOW, padding: 'symmetric', batchNormEpsilon: 1e-5, batchNormMomentum: 0.9 } as const;
/** torchvision's B5–B7 are TensorFlow's weights under torchvision's padding. */
const TORCHVISION_LARGE = { batchNormEpsilon: 1e-3, batchNormMomentum: 0.99 } as const;

/**
 * The families of weights, by who made them. `timm` are weights trained in timm (`efficientnet_b0` …), `timm-tf` those that it took over
 * from TensorFlow (`tf_efficientnet_b0` …; not the adversarial `.ap_` ones, which are normalised by 0.5): same names of tensors,
 * other padding.
 */
export const WEIGHT_SOURCES = {
  torchvision: { ...PYTORCH, naming: 'torchvision', variants: { B5: TORCHVISION_LARGE, B6: TORCHVISION_LARGE, B7: TORCHVISION_LARGE } },
  timm: { ...PYTORCH, naming: 'timm' },
  'timm-tf': { ...TENSORFLOW, batchNormMomentum: 0.9, naming: 'timm' },
  'timm-tf-lite': { ...TENSORFLOW, batchNormMomentum: 0.9, activation: 'relu6', normalization: HALF, squeezeExcite: false, naming: 'timm' },
  keras: { ...TENSORFLOW, naming: 'keras' },
  'efficientnet-pytorch': { ...TENSORFLOW, naming: 'efficientnet-pytorch' },
  'efficientnet-lite-pytorch': {
    ...TENSORFLOW,
    activation: 'relu6',
    normalization: LITE,
    interpolation: 'bilinear',
    squeezeExcite: false,
    naming: 'efficientnet-pytorch',
  },
} as const satisfies Readonly<Record<WeightLibrary, WeightSourceDescription>>;

export type WeightSource = WeightLibrary;

/** @param variant of the network, for example `B5`; names that the table does not know have no exceptions */
export function weightFacts(source: WeightSource, variant: string): WeightFacts {
  const { naming: _naming, squeezeExcite: _squeezeExcite, variants = {}, ...facts }: WeightSourceDescription = WEIGHT_SOURCES[source];
  const exceptions = Object.entries(variants).find(([name]) => name === variant)?.[1];
  return { ...facts, ...exceptions };
}

/** The same for a network of ours. Images are always resized by antialiased bicubic here; what the authors did stays in the facts. */
export function modelConventions({ padding, batchNormEpsilon, activation, normalization }: WeightFacts): ModelConventions {
  const { mean, std } = normalization;
  return { padding, batchNormEpsilon, activation, normalization: { scale: 255, mean, std }, interpolation: 'bicubic' };
}
