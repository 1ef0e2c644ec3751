import { efficientNetSpec } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { WEIGHTS_CATALOGUE } from '../catalogue.js';
import { readWeightsFile } from '../formats/read-weights-file.js';
import type { NamedTensor } from '../named-tensor.js';
import { expectedValues, fixture, tinyNetwork } from '../testing/tiny-network.js';
import { detectWeightSource } from './detect-source.js';
import { readEfficientNetWeights, toModelVectors } from './read-efficientnet-weights.js';
import { sourceNames } from './source-names.js';
import { WEIGHT_SOURCES, weightFacts } from './sources.js';

const target = tinyNetwork();
async function torchvisionTensors(): Promise<Map<string, NamedTensor>> {
  return new Map((await readWeightsFile(fixture('torchvision-float.pth'))).tensors);
}
const tensor = (name: string, shape: readonly number[]): NamedTensor => ({
  name,
  shape,
  dtype: 'F32',
  data: new Float32Array(shape.reduce((product, dimension) => product * dimension, 1)),
});

test('everything that does not fit is said at once', async () => {
  const file = await torchvisionTensors();
  file.delete('features.8.1.running_mean');
  file.delete('features.0.0.weight');
  file.set('features.9.0.weight', tensor('features.9.0.weight', [2]));
  file.set('features.8.0.weight', tensor('features.8.0.weight', [8, 4, 1, 1]));
  file.set('features.8.1.weight', { ...tensor('features.8.1.weight', [8]), data: new Float32Array(8).fill(Number.NaN) });
  const read = () => readEfficientNetWeights(file, { target, source: 'torchvision' });
  expect(read).toThrow(
    '2 tensors missing (features.0.0.weight; features.8.1.running_mean), 1 tensors unexpected (features.9.0.weight), ' +
      '1 tensors of another shape (features.8.0.weight [8, 4, 1, 1] is [1, 1, 4, 8] here, expected [1, 1, 3, 8]), ' +
      '1 tensors with values that are not finite (features.8.1.weight: NaN): the file has to hold every tensor of EfficientNet-B0',
  );
  expect(read).toThrow(
    expect.objectContaining({ code: 'WEIGHTS_MISMATCH', details: expect.objectContaining({ unexpected: ['features.9.0.weight'] }) }),
  );
});

test('a classifier for other classes is left to the caller, the rest is taken', async () => {
  const weights = readEfficientNetWeights(await torchvisionTensors(), { target: tinyNetwork(2) });
  expect(weights.replaced).toEqual(['predictions/kernel', 'predictions/bias']);
  expect(weights.fileClasses).toBe(3);
  expect(weights.tensors.has('predictions/kernel')).toBe(false);
  expect(weights.tensors.get('top_conv/kernel')?.data).toEqual(expectedValues({ name: 'top_conv/kernel', shape: [1, 1, 3, 8] }));
  expect(new Set(weights.ignored.map((name) => name.split('.').at(-1)))).toEqual(new Set(['num_batches_tracked']));
});

test('a file without any classifier is taken, half a classifier is not', async () => {
  const file = await torchvisionTensors();
  file.delete('classifier.1.bias');
  expect(() => readEfficientNetWeights(file, { target })).toThrow('1 tensors missing (classifier.1.bias)');
  file.delete('classifier.1.weight');
  expect(readEfficientNetWeights(file, { target })).toMatchObject({
    fileClasses: null,
    replaced: ['predictions/kernel', 'predictions/bias'],
  });
});

test('names of a DataParallel model lose their prefix', async () => {
  const file = new Map([...(await torchvisionTensors())].map(([name, value]) => [`module.${name}`, { ...value, name: `module.${name}` }]));
  expect(readEfficientNetWeights(file, { target }).tensors.size).toBe(target.parameters.entries.length + target.statistics.entries.length);
});

test('squeeze-and-excitation as dense layers takes the same numbers', async () => {
  const flat = (entries: WeightsEntries) =>
    entries.map((entry) => (entry.name.includes('_se_') ? { ...entry, shape: entry.shape.slice(-2) } : entry));
  const dense = { ...target, parameters: { entries: flat(target.parameters.entries) } };
  const { tensors } = readEfficientNetWeights(await torchvisionTensors(), { target: dense });
  expect(tensors.get('block2a_se_reduce/kernel')).toMatchObject({ shape: [12, 2] });
});
type WeightsEntries = typeof target.parameters.entries;

test('timm’s names alone do not say which padding the weights want', async () => {
  const { tensors } = await readWeightsFile(fixture('timm-f32.safetensors'));
  expect(() => detectWeightSource(tensors)).toThrow('differ in padding and batch norm. Name the source: timm or timm-tf.');
  expect(readEfficientNetWeights(tensors, { target, source: 'timm-tf' }).facts).toMatchObject({ padding: 'same', batchNormEpsilon: 1e-3 });
  const lite = new Map([...tensors].filter(([name]) => !name.includes('.se.')));
  expect(detectWeightSource(lite)).toBe('timm-tf-lite');
});

test('a network without squeeze-and-excitation of efficientnet-pytorch is a Lite one', async () => {
  const { tensors } = await readWeightsFile(fixture('efficientnet-pytorch-stream.pth'));
  const lite = new Map([...tensors].filter(([name]) => !name.includes('_se_')));
  const entries = target.parameters.entries.filter(({ name }) => !name.includes('_se_'));
  const weights = readEfficientNetWeights(lite, { target: { ...target, variant: 'Lite0', parameters: { entries } } });
  expect(weights.facts).toMatchObject({ padding: 'same', activation: 'relu6', batchNormEpsilon: 1e-3 });
  const [mean] = weights.facts.normalization.mean;
  const [std] = weights.facts.normalization.std;
  expect((200 / 255 - mean) / std).toBeCloseTo((200 - 127) / 128, 12);
});

test('tensors of another network are no EfficientNet', () => {
  const file = new Map([['layer1.0.conv1.weight', tensor('layer1.0.conv1.weight', [1])]]);
  expect(() => detectWeightSource(file)).toThrow('1 tensors, first of them "layer1.0.conv1.weight": an EfficientNet of torchvision');
});

test.each([
  ['torchvision', 'block4c_project_bn/moving_variance', 'features.4.2.block.3.1.running_var'],
  ['torchvision', 'block1b_se_expand/bias', 'features.1.1.block.1.fc2.bias'],
  ['timm', 'block4c_project_bn/gamma', 'blocks.3.2.bn3.weight'],
  ['timm', 'block1b_project_conv/kernel', 'blocks.0.1.conv_pw.weight'],
  ['efficientnet-pytorch', 'block4c_project_bn/beta', '_blocks.10._bn2.bias'],
  ['efficientnet-pytorch', 'predictions/kernel', '_fc.weight'],
  ['keras', 'block4c_dwconv/kernel', 'block4c_dwconv/kernel'],
] as const)('%s calls B1’s %s %s', (naming, ours, theirs) => {
  const { parameters, statistics } = efficientNetSpec('B1', 1000);
  const names = sourceNames(
    naming,
    [...parameters.entries, ...statistics.entries].map(({ name }) => name),
  );
  expect(names.get(ours)).toBe(theirs);
  expect(new Set(names.values()).size).toBe(names.size);
});

test('imported weights land in the flat vectors, a replaced classifier keeps its initial values', () => {
  const spec = efficientNetSpec('B0', 2);
  const initial = {
    weights: new Float32Array(spec.parameters.length).fill(0.25),
    statistics: new Float32Array(spec.statistics.length).fill(1),
  };
  const entries = [...spec.parameters.entries, ...spec.statistics.entries];
  const names = sourceNames(
    'keras',
    entries.map(({ name }) => name),
  );
  const file = new Map(
    entries
      .filter(({ name }) => !name.startsWith('predictions/'))
      .map((entry) => {
        const name = names.get(entry.name) ?? entry.name;
        return [name, { ...tensor(name, entry.shape), data: expectedValues(entry) }];
      }),
  );
  const vectors = toModelVectors(readEfficientNetWeights(file, { target: spec }), spec, initial);
  const depthwise = spec.parameters.entries.find(({ name }) => name === 'block2a_dwconv/kernel')!;
  const head = spec.parameters.entries.find(({ name }) => name === 'predictions/kernel')!;
  const variance = spec.statistics.entries.find(({ name }) => name === 'top_bn/moving_variance')!;
  expect(viewEntry(vectors.weights, depthwise)).toEqual(expectedValues(depthwise));
  expect(viewEntry(vectors.weights, head)).toEqual(new Float32Array(head.length).fill(0.25));
  expect(viewEntry(vectors.statistics, variance)).toEqual(expectedValues(variance));
  expect(viewEntry(initial.statistics, variance)).toEqual(new Float32Array(variance.length).fill(1));
});

test('torchvision’s largest networks have TensorFlow’s batch norm', () => {
  expect(weightFacts('torchvision', 'B4')).toMatchObject({ padding: 'symmetric', batchNormEpsilon: 1e-5, batchNormMomentum: 0.9 });
  expect(weightFacts('torchvision', 'B5')).toMatchObject({ padding: 'symmetric', batchNormEpsilon: 1e-3, batchNormMomentum: 0.99 });
});

test.each(Object.entries(WEIGHTS_CATALOGUE))('%s of the catalogue has a known source and a digest of its kind', (_, entry) => {
  const digits = { sha256: 64, 'sha256-prefix': 8, md5: 32 }[entry.digest.kind];
  expect(entry.digest.hex).toMatch(new RegExp(`^[0-9a-f]{${digits}}$`));
  expect(Object.keys(WEIGHT_SOURCES)).toContain(entry.source);
});
