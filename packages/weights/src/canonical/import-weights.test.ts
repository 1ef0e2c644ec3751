import { createHash } from 'node:crypto';
import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { decodeSafetensors, encodeSafetensors, viewEntry, type NamedTensor, type StateLayout } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { WeightsFileError } from '../errors.js';
import { identifyNetwork } from '../mapping/identify-network.js';
import { sourceNames } from '../mapping/source-names.js';
import { fixture } from '../testing/tiny-network.js';
import { WEIGHTS_CATALOGUE, type CatalogueEntry } from '../catalogue.js';
import { decodeWeights, startFrom } from './canonical-weights.js';
import { importWeightsFile, type ImportOptions } from './import-weights.js';

const spec = efficientNetSpec('Lite0', 5);
const model = initializeModel(spec, 11);

const named = (layout: StateLayout, vector: Float32Array): NamedTensor[] =>
  layout.entries.map((entry) => ({ name: entry.name, shape: entry.shape, data: Float32Array.from(viewEntry(vector, entry)) }));
const ours = [...named(spec.parameters, model.weights), ...named(spec.statistics, model.statistics)];

/** Our tensor as PyTorch lays it out; the inverse of what an import does, written out on its own. */
function asTorch({ name, shape, data }: NamedTensor): NamedTensor {
  if (shape.length === 2) {
    const [inputs = 0, outputs = 0] = shape;
    return { name, shape: [outputs, inputs], data: data.map((_, i) => data[(i % inputs) * outputs + Math.floor(i / inputs)] ?? NaN) };
  }
  if (shape.length !== 4) return { name, shape, data };
  const [height = 0, width = 0, third = 0, fourth = 0] = shape;
  const depthwise = name.endsWith('dwconv/kernel');
  const [first, second] = depthwise ? [third, 1] : [fourth, third];
  const out = new Float32Array(data.length);
  let at = 0;
  for (let o = 0; o < first; o++)
    for (let i = 0; i < second; i++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const [c, d] = depthwise ? [o, 0] : [i, o];
          out[at++] = data[((y * width + x) * third + c) * fourth + d] ?? NaN;
        }
  return { name, shape: [first, second, height, width], data: out };
}

const torchNames = sourceNames(
  'efficientnet-pytorch',
  ours.map(({ name }) => name),
);
const torchTensors = ours.map((tensor) => ({ ...asTorch(tensor), name: torchNames.get(tensor.name) ?? tensor.name }));
const torchFile = encodeSafetensors(torchTensors, {});

type Catalogue = Readonly<Record<string, CatalogueEntry>>;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** A catalogue with one entry: this file, said to be these weights. */
const catalogueOf = (file: Uint8Array, entry: Partial<CatalogueEntry> = {}): Catalogue => ({
  published: { ...WEIGHTS_CATALOGUE['lite0-imagenet']!, digest: { kind: 'sha256', hex: sha256(file) }, ...entry },
});
/** Only the facts about the file: a failing test would print megabytes of the file itself. */
const factsOf = async (file: Uint8Array, options?: ImportOptions, catalogue?: Catalogue) =>
  (await importWeightsFile(file, options, catalogue)).weights;
/** Whether two tensors hold the same bits, so that a failing test prints no thousands of numbers. */
const sameBits = (found: Float32Array | undefined, expected: Float32Array) =>
  found !== undefined && Buffer.from(Float32Array.from(found).buffer).equals(Buffer.from(Float32Array.from(expected).buffer));

test('library, variant and classes are told from the file, and every tensor arrives under our name in our layout', async () => {
  const { bytes, weights } = await importWeightsFile(torchFile);
  const count = spec.parameters.entries.reduce((sum, { length }) => sum + length, 0);
  expect(weights).toMatchObject({
    variant: 'Lite0',
    library: 'efficientnet-lite-pytorch',
    classes: 5,
    parameterCount: count,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: bytes.length,
    sourceSha256: createHash('sha256').update(torchFile).digest('hex'),
    conventions: { padding: 'same', activation: 'relu6', interpolation: 'bilinear', batchNormMomentum: 0.99 },
  });
  const { tensors, description } = decodeWeights(bytes);
  expect(description).toMatchObject({ variant: 'Lite0', classes: 5, sourceSha256: weights.sourceSha256, conventions: weights.conventions });
  expect([...tensors.keys()]).toEqual(ours.map(({ name }) => name));
  for (const tensor of ours) {
    const found = tensors.get(tensor.name);
    expect(found?.shape, tensor.name).toEqual(tensor.shape);
    expect(sameBits(found?.data, tensor.data), tensor.name).toBe(true);
  }
});

test('the same weights give the same bytes, also from a file of our own', async () => {
  const first = await importWeightsFile(torchFile);
  expect(await factsOf(torchFile)).toEqual(first.weights);
  expect(await factsOf(first.bytes)).toEqual(first.weights);
});

test('a file without a classifier is taken; training then starts with a fresh one', async () => {
  const bodyFile = encodeSafetensors(
    torchTensors.filter(({ name }) => !name.startsWith('_fc.')),
    {},
  );
  const { bytes, weights } = await importWeightsFile(bodyFile);
  expect(weights.classes).toBeNull();
  const target = efficientNetSpec('Lite0', 5);
  const fresh = initializeModel(target, 1);
  const { vectors, freshHead } = startFrom(decodeWeights(bytes), target, fresh);
  expect(freshHead).toBe(true);
  const part = (vector: Float32Array, name: string) =>
    viewEntry(
      vector,
      target.parameters.entries.find((entry) => entry.name === name)!,
    );
  expect(sameBits(part(vectors.weights, 'predictions/kernel'), part(fresh.weights, 'predictions/kernel'))).toBe(true);
  expect(sameBits(part(vectors.weights, 'stem_conv/kernel'), part(model.weights, 'stem_conv/kernel'))).toBe(true);
});

test('every tensor that is missing or too many is listed; half a classifier is missing one', async () => {
  const broken = torchTensors
    .filter(({ name }) => name !== '_fc.bias' && name !== '_bn0.running_mean')
    .map((tensor) => (tensor.name === '_bn1.weight' ? { ...tensor, name: '_bn7.weight' } : tensor));
  const error = await factsOf(encodeSafetensors(broken, {})).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(WeightsFileError);
  expect(error).toMatchObject({
    code: 'WEIGHTS_MISMATCH',
    details: { variant: 'Lite0', missing: ['_bn1.weight', '_fc.bias', '_bn0.running_mean'], unexpected: ['_bn7.weight'] },
  });
});

test('a variant or a library that the file contradicts is refused', async () => {
  await expect(factsOf(torchFile, { variant: 'B0' })).rejects.toThrow('the file has to hold every tensor of EfficientNet-B0');
  await expect(factsOf(torchFile, { library: 'torchvision' })).rejects.toMatchObject({ code: 'WEIGHTS_MISMATCH' });
});

test('a file that is not the catalogue entry that it is said to be is refused before it is read', async () => {
  await expect(factsOf(torchFile, { catalogueName: 'lite0-imagenet' })).rejects.toMatchObject({ code: 'WEIGHTS_DIGEST' });
  await expect(factsOf(fixture('executes-zip.pth'), { catalogueName: 'b0-keras' })).rejects.toMatchObject({
    code: 'WEIGHTS_DIGEST',
  });
  await expect(factsOf(torchFile, { catalogueName: 'nobody' })).rejects.toThrow('"nobody": the catalogue has b0-efficientnet-pytorch,');
});

test('what the catalogue says of an entry is part of its weights', async () => {
  const facts = { interpolation: 'bicubic', batchNormMomentum: 0.9 } as const;
  const published = await factsOf(torchFile, { catalogueName: 'published' }, catalogueOf(torchFile, { facts }));
  expect(published.conventions).toMatchObject(facts);
  expect((await factsOf(torchFile)).conventions).toMatchObject({ interpolation: 'bilinear', batchNormMomentum: 0.99 });
});

test('a file of our own is no catalogue entry, whatever it says of itself', async () => {
  const { bytes } = await importWeightsFile(torchFile);
  for (const catalogueName of ['lite0-imagenet', 'b7-keras', 'b0-torchvision']) {
    await expect(factsOf(bytes, { catalogueName })).rejects.toMatchObject({ code: 'WEIGHTS_DIGEST' });
  }
  await expect(factsOf(bytes, { catalogueName: 'nobody' })).rejects.toMatchObject({ code: 'WEIGHTS_UNKNOWN_NAME' });
  // Digests of eight digits can be met by trying.
  const as = (entry: Partial<CatalogueEntry>) => factsOf(bytes, { catalogueName: 'published' }, catalogueOf(bytes, entry));
  await expect(as({ variant: 'B7' })).rejects.toThrow('weights of EfficientNet-Lite0: EfficientNet-B7 was asked for');
  await expect(as({ source: 'keras' })).rejects.toThrow('weights of efficientnet-lite-pytorch: weights of keras were asked for');
});

test('a file of our own is refused as another variant or of another library', async () => {
  const { bytes } = await importWeightsFile(torchFile);
  await expect(factsOf(bytes, { variant: 'B0' })).rejects.toThrow('weights of EfficientNet-Lite0: EfficientNet-B0 was asked for');
  await expect(factsOf(bytes, { library: 'keras' })).rejects.toMatchObject({
    code: 'WEIGHTS_MISMATCH',
    value: 'weights of efficientnet-lite-pytorch',
  });
  expect(await factsOf(bytes, { variant: 'Lite0', library: 'efficientnet-lite-pytorch' })).toMatchObject({ variant: 'Lite0' });
});

test('a catalogue entry cannot be imported as something else than it is', async () => {
  const as = (options: ImportOptions) => factsOf(torchFile, { catalogueName: 'published', ...options }, catalogueOf(torchFile));
  await expect(as({ library: 'timm' })).rejects.toThrow('"published" as weights of timm: it is efficientnet-lite-pytorch');
  await expect(as({ variant: 'B0' })).rejects.toThrow('"published" as EfficientNet-B0: it is EfficientNet-Lite0');
  expect(await as({ variant: 'Lite0', library: 'efficientnet-lite-pytorch' })).toMatchObject({ variant: 'Lite0' });
});

test('no two variants are taken for each other', () => {
  for (const variant of EFFICIENTNET_VARIANT_NAMES) {
    const { parameters, statistics } = efficientNetSpec(variant, 3);
    // Identification looks at sizes: one shared vector is enough to stand for all values.
    const zeros = new Float32Array(Math.max(...parameters.entries.map(({ length }) => length)));
    const tensors = [...parameters.entries, ...statistics.entries].map(({ name, shape, length }) => ({
      name,
      shape,
      dtype: 'F32' as const,
      data: zeros.subarray(0, length),
    }));
    const source = variant === 'Lite0' ? 'efficientnet-lite-pytorch' : 'keras';
    const names = sourceNames(
      variant === 'Lite0' ? 'efficientnet-pytorch' : 'keras',
      tensors.map(({ name }) => name),
    );
    const file = new Map(tensors.map((tensor) => [names.get(tensor.name) ?? '', { ...tensor, name: names.get(tensor.name) ?? '' }]));
    expect(identifyNetwork(file)).toEqual({ source, variant, classes: 3 });
  }
});

test('our own file is refused when it does not hold what it says', async () => {
  const { bytes } = await importWeightsFile(torchFile);
  const tensors = [...decodeSafetensors(bytes).values()];
  const metadata = { format: 'roentgen-weights/1', description: JSON.stringify(decodeWeights(bytes).description) };
  const lacking = encodeSafetensors(tensors.slice(1), metadata);
  expect(() => decodeWeights(lacking)).toThrow('"stem_conv/kernel" [missing]');
  expect(() => decodeWeights(encodeSafetensors([...tensors, { name: 'x', shape: [1], data: Float32Array.of(1) }], metadata))).toThrow(
    /tensors where/,
  );
  expect(() => decodeWeights(encodeSafetensors(tensors, {}))).toThrow('the description of the file');
  const reshaped = tensors.map((tensor) => (tensor.name === 'stem_conv/kernel' ? { ...tensor, shape: [27, 32] } : tensor));
  expect(() => decodeWeights(encodeSafetensors(reshaped, metadata))).toThrow('"stem_conv/kernel" [27, 32]');
  expect(() => decodeWeights(bytes.subarray(0, bytes.length - 8))).toThrow('truncated');
  await expect(factsOf(lacking)).rejects.toMatchObject({ code: 'WEIGHTS_MALFORMED' });
});

/** With one value of one tensor changed. */
const withValue = (tensors: readonly NamedTensor[], changed: string, value: number) =>
  tensors.map((tensor) => (tensor.name === changed ? { ...tensor, data: tensor.data.map((old, i) => (i === 1 ? value : old)) } : tensor));

test.each([
  ['top_bn/beta', '_bn1.bias', Number.NaN, 'not finite', 'NaN'],
  ['stem_conv/kernel', '_conv_stem.weight', -Infinity, 'not finite', '-Infinity'],
  ['top_bn/moving_variance', '_bn1.running_var', Infinity, 'not finite', 'Infinity'],
  ['stem_bn/moving_variance', '_bn0.running_var', -0.5, 'variances below 0', '-0.5'],
])(
  '%s (%s) of %d is refused with name, value, rule and fix, from a library and from a file of our own',
  async (own, theirs, value, problem, shown) => {
    const { bytes } = await importWeightsFile(torchFile);
    const metadata = { format: 'roentgen-weights/1', description: JSON.stringify(decodeWeights(bytes).description) };
    const files = [
      [theirs, encodeSafetensors(withValue(torchTensors, theirs, value), {})],
      [own, encodeSafetensors(withValue(ours, own, value), metadata)],
    ] as const;
    for (const [name, file] of files) {
      const error: unknown = await factsOf(file).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'WEIGHTS_MISMATCH', value: expect.stringMatching(new RegExp(`^1 tensors with .*${problem}`)) });
      expect(error).toHaveProperty('value', expect.stringContaining(`(${name}: ${shown})`));
      expect(error).toHaveProperty('rule', expect.not.stringMatching(/^$/));
      expect(error).toHaveProperty('fix', expect.not.stringMatching(/^$/));
    }
  },
);

test('a negative running mean and a variance of 0 are ordinary values', async () => {
  const changed = withValue(withValue(torchTensors, '_bn1.running_var', 0), '_bn1.running_mean', -3);
  expect(await factsOf(encodeSafetensors(changed, {}))).toMatchObject({ variant: 'Lite0' });
});

test('conventions that no network can be computed with are refused with the number that is wrong', async () => {
  const { bytes } = await importWeightsFile(torchFile);
  const { description, tensors } = decodeWeights(bytes);
  const { conventions } = description;
  const of = (changed: object) =>
    factsOf(
      encodeSafetensors([...tensors.values()], {
        format: 'roentgen-weights/1',
        description: JSON.stringify({ ...description, conventions: { ...conventions, ...changed } }),
      }),
    );
  const { mean } = conventions.normalization;
  await expect(of({ normalization: { mean, std: [1, 0, 1] } })).rejects.toMatchObject({
    code: 'WEIGHTS_MISMATCH',
    value: expect.stringMatching(/^conventions\.normalization\.std\.1 = 0: /),
  });
  await expect(of({ normalization: { mean, std: [1, 1, -0.2] } })).rejects.toThrow('conventions.normalization.std.2 = -0.2: ');
  await expect(of({ batchNormEpsilon: 0 })).rejects.toThrow('conventions.batchNormEpsilon = 0: ');
  expect(await of({})).toMatchObject({ conventions });
});
